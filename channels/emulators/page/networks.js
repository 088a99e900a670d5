// The networks the page knows, behind one shape. Ids are what each network uses; the page only compares them.
//
//   title, control                 what people call it, and its control side
//   canReply, canThread(message)   whether one answers a message by quoting it, or in a thread at it
//   emoji                          [[shown, value]]: some reactions to choose from
//   faultMethods                   [[label, method]]: calls that can be made to fail; the first is sending
//   troubles                       [[label, act()]]: what else can go wrong, the first is to cut the connection
//   load()                         → { bot, people: [Person], rooms: [Room], commands: [text] }
//   direct(person)                 → id of the room where a person and the bot are alone
//   messages(roomId)               → { messages: [Message], threads: [Thread], prompts: [{ title, message }] }
//   say({ room, person, text, files, reply, thread }), edit(message, text), remove(message)
//   react(message, person, value, isTaken)
//   addRoom(name, person)          → id of the new room
//   newPerson(name, people)        → Person
//   connection()                   → text: how the gateway is connected
//   change(event)                  → [Change]: what an event of the control side means
//
// Person   { id, name }
// Room     { id, title, note }
// Thread   { id, title, root }     root: id of the message it hangs on, null when it stands alone
// Message  { id, room, thread, at (ms), author: { id, name, isBot }, body() → Node, text, quote, files, controls,
//            reactions: [{ shown, value, who }], edits, deleted, onlyFor, isStreaming, stop(person), isService }
// File     { name, url, size, kind: "image" | "audio" | "video" | "file" }
// Control  { label, style, url, disabled, choices: [[value, label]], press(person, value) }, in rows
// Form     { id, title, intro: Node, fields: [Field], submitLabel, closeLabel, submit(values) → { closes }, dismiss() }
// Field    { id, label, hint, kind: "line" | "lines" | "choice", choices, value, isRequired, most, error }
// Change   { reload } | { room, message } | { room, thread, typing: { who, text, until } } | { room, draft: Message }
//          | { room, reaction: (messages) → Message } | { room, threadInfo: Thread } | { prompts, room }
//          | { notice } | { form: Form } | { formClosed: id } | { laterMs, changes() → [Change] }

import { discord } from "/page/discord.js";
import { slack } from "/page/slack.js";
import { telegram } from "/page/telegram.js";

export const NETWORKS = { slack, telegram, discord };
