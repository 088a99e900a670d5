// Telegram behind the shape of networks.js. A private chat has the id of its person; topics are the threads.

import { base64 } from "/page/dom.js";
import { renderText } from "/page/entities.js";

const TYPING_MS = 5000; // a chat action is shown this long
const SUPERGROUPS_BEGIN = -1_000_000_000_000;

export function telegram(control) {
  return new Telegram(control);
}

class Telegram {
  title = "Telegram";
  emoji = ["👀", "👍", "🎉", "❤"].map((one) => [one, one]);
  canReply = true;
  faultMethods = [
    ["sendMessage", "sendMessage"],
    ["sendMessageDraft", "sendMessageDraft"],
    ["editMessageText", "editMessageText"],
    ["sendDocument", "sendDocument"],
    ["getUpdates", "getUpdates"],
    ["any call", ""],
  ];
  #bot = null;
  #rooms = new Set();
  #people = new Map();

  constructor(control) {
    this.control = control;
    this.troubles = [
      ["Cut the next poll", () => control.post("faults", { kind: "refuse", method: "getUpdates" })],
      ["Lose what waits", () => control.post("updates/expired", {})],
      ["Skip 5 updates", () => control.post("updates/skipped", { count: 5 })],
    ];
  }

  canThread(message) {
    return message.thread !== null;
  }

  async load() {
    const [bots, chats] = await Promise.all([this.control.get("bots"), this.control.get("chats")]);
    this.#bot = bots[0];
    const groups = chats.filter((chat) => chat.type !== "private" && chat.migrated_to === null);
    this.#rooms = new Set(chats.map((chat) => chat.id));
    for (const chat of chats) for (const one of chat.members) this.#people.set(one.id, one);
    const people = [...this.#people.values()].map((one) => ({
      id: one.id,
      name: one.first_name,
      handle: one.username ?? null,
    }));
    return {
      bot: { id: this.#bot.id, name: this.#bot.first_name },
      people: people.length > 0 ? people : [{ id: 1001, name: "Ada", handle: "ada" }],
      rooms: groups.map((chat) => ({
        id: chat.id,
        title: chat.title,
        note: `${chat.is_forum ? "forum, " : ""}mention @${this.#bot.username}`,
      })),
      commands: [],
    };
  }

  async direct(person) {
    return person.id;
  }

  async messages(roomId) {
    const chats = await this.control.get("chats");
    const chat = chats.find((one) => one.id === roomId && one.bots.includes(this.#bot.username));
    if (!chat) return { messages: [], threads: [], prompts: [] };
    const messages = await this.control.get(
      `chats/${roomId}/messages?bot=${encodeURIComponent(this.#bot.username)}`,
    );
    return {
      messages: messages.filter((one) => one.topic_created === null).map((one) => this.#message(roomId, one)),
      threads: chat.topics.map((topic) => ({
        id: String(topic.message_thread_id),
        title: topic.name,
        root: null,
      })),
      prompts: [],
    };
  }

  async say({ room, person, text, files, reply, thread }) {
    const place = {
      bot: this.#bot.username,
      chat_id: room,
      user: user(person),
      reply_to: reply ? Number(reply.id) : null,
      message_thread_id: Number(thread?.id ?? reply?.thread ?? 0) || null,
    };
    if (files.length === 0) return this.control.post("messages", { ...place, text });
    const contents = files.map(async (file, index) => ({
      kind: kindOf(file),
      data: await base64(file),
      name: file.name,
      mime: file.type || null,
      caption: index === 0 ? text : "",
    }));
    return this.control.post("files", { ...place, files: await Promise.all(contents) });
  }

  edit(message, text) {
    return this.control.post("edits", { ...this.#place(message), text });
  }

  remove(message) {
    return this.control.post("deletions", this.#place(message));
  }

  react(message, person, value, isTaken) {
    return this.control.post("reactions", {
      ...this.#place(message),
      emoji: isTaken ? [] : [value],
      user: user(person),
    });
  }

  async addRoom(name, person) {
    const used = [...this.#rooms].filter((id) => id < 0 && id > SUPERGROUPS_BEGIN);
    const body = {
      bot: this.#bot.username,
      chat_id: Math.min(0, ...used) - 1,
      chat_title: name,
      by: user(person),
    };
    return (await this.control.post("bots/added", body)).id;
  }

  newPerson(name, people) {
    return { id: Math.max(...people.map((one) => one.id)) + 1, name, handle: null };
  }

  async connection() {
    const { pending } = await this.control.get(`updates?bot=${encodeURIComponent(this.#bot.username)}`);
    return `${pending.length} update${pending.length === 1 ? " waits" : "s wait"} for the gateway`;
  }

  change(event) {
    const { type, chat_id: room, detail } = event;
    if (event.bot !== this.#bot.username && room > 0) return [];
    const isStranger = detail.from && !detail.from.is_bot && !this.#people.has(detail.from.id);
    if (type === "chat" || isStranger || detail.service || !this.#rooms.has(room)) return [{ reload: true }];
    if (["message", "edited", "deleted"].includes(type)) return [{ room, message: this.#message(room, detail) }];
    if (type === "draft") return [{ room, draft: this.#draft(room, detail) }];
    if (type === "action") {
      const text = detail.action === "cancel" ? "" : `is ${detail.action.replaceAll("_", " ")}`;
      const thread = detail.message_thread_id === null ? null : String(detail.message_thread_id);
      return [{ room, thread, typing: { who: this.#bot.first_name, text, until: Date.now() + TYPING_MS } }];
    }
    if (type === "reaction") {
      const changed = (message) =>
        this.#message(room, {
          ...message.raw,
          reactions: { ...message.raw.reactions, [detail.by]: detail.emoji },
        });
      return [
        {
          room,
          reaction: (messages) =>
            messages.has(String(detail.message_id)) && changed(messages.get(String(detail.message_id))),
        },
      ];
    }
    return type === "answered" && detail.text ? [{ notice: detail.text }] : [];
  }

  #place(message) {
    return { bot: this.#bot.username, chat_id: message.room, message_id: Number(message.id) };
  }

  // Messages for one person's eyes all have the id 0; their own ids are told apart by the letter.
  #message(room, view) {
    const isEphemeral = view.ephemeral_message_id !== null;
    const reactions = new Map();
    for (const [who, list] of Object.entries(view.reactions)) {
      for (const one of list) reactions.set(one, [...(reactions.get(one) ?? []), Number(who)]);
    }
    return {
      ...this.#content(room, view),
      id: isEphemeral ? `e${view.ephemeral_message_id}` : String(view.message_id),
      raw: view,
      isService: view.service !== null,
      text: view.service === null ? view.text : serviceText(view.service),
      quote: view.reply_to ? this.#quote(room, view) : null,
      controls: (view.keyboard ?? []).map((row) => row.map((key) => this.#control(room, view, key))),
      reactions: [...reactions].map(([value, who]) => ({ shown: value, value, who })),
      edits: view.edits.length,
      deleted: view.deleted,
      onlyFor: view.ephemeral_to?.first_name ?? null,
      isStreaming: false,
    };
  }

  #draft(room, view) {
    const content = this.#content(room, view);
    const body = view.is_thinking ? () => document.createTextNode("Thinking…") : content.body;
    const rest = {
      id: `draft${view.draft_id}`,
      controls: [],
      reactions: [],
      edits: 0,
      isStreaming: true,
      isDraft: true,
    };
    return { ...content, ...rest, body, until: view.expires_at * 1000 };
  }

  #content(room, view) {
    return {
      room,
      thread: view.message_thread_id === null ? null : String(view.message_thread_id),
      at: view.date ? view.date * 1000 : Date.now(),
      author: { id: view.from.id, name: view.from.first_name, isBot: view.from.is_bot },
      body: () => renderText(view.text, view.entities),
      files: view.media ? [this.#file(view.media)] : [],
    };
  }

  #quote(room, view) {
    const shown = document.querySelector(`#column-telegram [data-id="${view.reply_to}"] .text`);
    return shown ? shown.textContent.slice(0, 80) : `message ${view.reply_to}`;
  }

  #file(media) {
    const kind =
      { photo: "image", sticker: "image", voice: "audio", audio: "audio", video: "video" }[media.kind] ?? "file";
    const url = this.control.address(`files/${media.url.split("/").pop()}`);
    return { name: media.file_name ?? media.kind, url, size: media.size, kind };
  }

  #control(room, view, key) {
    const url = /^https?:\/\//i.test(key.url ?? "") ? key.url : null;
    const { message_id, ephemeral_message_id } = view;
    const body = {
      bot: this.#bot.username,
      chat_id: room,
      message_id,
      ephemeral_message_id,
      data: key.callback_data,
    };
    return {
      label: key.text,
      style: key.style,
      url,
      disabled: !url && !key.callback_data,
      press: (person) => this.control.post("presses", { ...body, user: user(person) }),
    };
  }
}

function serviceText(service) {
  const [kind, facts] = Object.entries(service)[0];
  const names = [facts]
    .flat()
    .map((one) => one?.first_name)
    .filter(Boolean);
  return [kind.replaceAll("_", " "), ...names].join(" ");
}

function kindOf(file) {
  if (/^image\/(png|jpeg)$/.test(file.type)) return "photo";
  if (file.type === "audio/ogg") return "voice";
  return { audio: "audio", video: "video" }[file.type.split("/")[0]] ?? "document";
}

function user(person) {
  return { id: person.id, first_name: person.name, username: person.handle };
}
