// Discord behind the shape of networks.js. A thread is a channel of its own; it is shown under its message.

import { base64 } from "/page/dom.js";
import { fieldsOf, renderMessage, rowsOf } from "/page/discord-parts.js";

const TYPING_MS = 10_000; // typing is shown this long
const ANSWER_MS = 3200; // an interaction that nobody answered by then has failed
const SHOWN = new Set(["default", "reply", "chat_input_command"]);
const MESSAGES = "POST /channels/{c}/messages";

export function discord(control) {
  return new Discord(control);
}

class Discord {
  title = "Discord";
  emoji = ["👀", "👍", "🎉", "❤️"].map((one) => [one, one]);
  canReply = true;
  faultMethods = [
    ["sending", MESSAGES],
    ["editing", "PATCH /channels/{c}/messages/{m}"],
    ["opening threads", "POST /channels/{c}/messages/{m}/threads"],
    ["answering presses", "POST /interactions/{i}/{t}/callback"],
    ["any call", ""],
  ];
  #bot = null;
  #commands = [];
  #names = new Map();
  #channels = new Map();

  constructor(control) {
    this.control = control;
    const gateway =
      (action, more = {}) =>
      () =>
        control.post("gateway", { action, ...more });
    this.troubles = [
      ["Cut the gateway", gateway("cut")],
      ["Refuse 3 connections", gateway("refuse_upgrades", { count: 3 })],
      ["Ask to reconnect", gateway("reconnect")],
      ["End the session", gateway("invalidate", { resumable: false })],
    ];
  }

  canThread(message) {
    return message.thread !== null || this.#channels.get(message.room)?.guild_id !== null;
  }

  async load() {
    const [bots, users, channels] = await Promise.all(
      ["bots", "users", "channels"].map((path) => this.control.get(path)),
    );
    [this.#bot] = bots;
    this.#commands = Object.values(this.#bot.commands).flat();
    this.#names = new Map([...users, ...bots].map((one) => [one.id, one.display_name]));
    this.#channels = new Map(channels.map((channel) => [channel.id, channel]));
    for (const channel of channels) this.#names.set(channel.id, channel.name);
    return {
      bot: { id: this.#bot.id, name: this.#bot.display_name },
      people: users
        .filter((one) => !one.is_bot)
        .map((one) => ({ id: one.id, name: one.display_name, handle: one.username })),
      rooms: channels
        .filter((one) => one.type === "text")
        .map((one) => ({ id: one.id, title: `#${one.name}`, note: `mention @${this.#bot.username}` })),
      commands: this.#commands.map((command) => `/${command.name}`),
    };
  }

  async direct(person) {
    const channel = await this.control.post("dms", { user: user(person) });
    this.#channels.set(channel.id, channel);
    return channel.id;
  }

  async messages(roomId) {
    const threads = [...this.#channels.values()].filter((one) => isThread(one) && one.parent_id === roomId);
    const places = [roomId, ...threads.map((thread) => thread.id)];
    const found = (await Promise.all(places.map((id) => this.control.get(`channels/${id}/messages`)))).flat();
    found.sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? -1 : 1));
    return {
      messages: found.filter((one) => SHOWN.has(one.type)).map((one) => this.#message(one)),
      threads: threads.map((thread) => threadOf(thread)),
      prompts: [],
    };
  }

  async say({ room, person, text, files, reply, thread }) {
    if (text.startsWith("/")) return this.#command(room, person, text);
    const attachments = files.map(async (file) => ({ filename: file.name, content_base64: await base64(file) }));
    return this.control.post("messages", {
      channel_id: thread ? await this.#enter(room, person, thread) : (reply?.thread ?? room),
      content: this.#typed(text),
      user: user(person),
      reply_to: reply?.id ?? null,
      attachments: await Promise.all(attachments),
    });
  }

  // The thread's channel; made when the message had none.
  async #enter(room, person, thread) {
    if (this.#channels.has(thread.id)) return thread.id;
    const body = {
      channel_id: room,
      message_id: thread.root,
      name: thread.title.slice(0, 90) || "Thread",
      user: user(person),
    };
    return (await this.control.post("threads", body)).id;
  }

  #command(room, person, text) {
    const [name, ...words] = text.slice(1).split(" ");
    const command = this.#commands.find((one) => one.name === name);
    const option = (command?.options ?? []).find((one) => one.type === 3);
    const options = option && words.length > 0 ? { [option.name]: words.join(" ") } : {};
    return this.control.post("commands", { name, options, user: user(person), channel_id: room });
  }

  // A client turns the names that people type into mentions.
  #typed(text) {
    return text.replace(/(?<![\w<])@([\w.]+)/g, (all, name) => {
      const wanted = name.toLowerCase();
      if (wanted === this.#bot.username || wanted === this.#bot.display_name.toLowerCase())
        return `<@${this.#bot.id}>`;
      const found = [...this.#names].find(([, shown]) => shown?.toLowerCase() === wanted);
      return found ? `<@${found[0]}>` : all;
    });
  }

  edit(message, text) {
    return this.control.post("edits", { ...place(message), content: this.#typed(text) });
  }

  remove(message) {
    return this.control.post("deletions", place(message));
  }

  react(message, person, value, isTaken) {
    return this.control.post("reactions", {
      ...place(message),
      emoji: value,
      user: user(person),
      takes_back: isTaken,
    });
  }

  async addRoom(name) {
    const [guild] = await this.control.get("guilds");
    const spelled = name.toLowerCase().replace(/\s+/g, "-");
    const made = await this.control.post("moderation", {
      action: "create_channel",
      guild_id: guild.id,
      name: spelled,
    });
    return made.result;
  }

  newPerson(name, people) {
    const last = people.map((one) => BigInt(one.id)).reduce((most, one) => (one > most ? one : most));
    return { id: String(last + 1n), name, handle: name.toLowerCase().replace(/[^a-z0-9._]/g, "") || "person" };
  }

  async connection() {
    const sessions = await this.control.get("sessions");
    return sessions.some((one) => one.connected) ? "The gateway is connected" : "The gateway is not connected";
  }

  change(event) {
    const { type, channel_id: channelId, detail } = event;
    const channel = this.#channels.get(channelId);
    if (["channel", "channel_deleted", "guild"].includes(type)) return [{ reload: true }];
    if (type === "thread") {
      this.#channels.set(channelId, detail);
      return [{ room: detail.parent_id, threadInfo: threadOf(detail) }];
    }
    if (type === "gateway" || !channel) return type === "gateway" ? [] : [{ reload: true }];
    const room = isThread(channel) ? channel.parent_id : channelId;
    if (["message", "edited", "deleted", "reaction"].includes(type)) {
      if (!this.#names.has(detail.author.id)) return [{ reload: true }];
      return SHOWN.has(detail.type) ? [{ room, message: this.#message(detail) }] : [];
    }
    const thread = isThread(channel) ? channelId : null;
    if (type === "typing") {
      return [
        {
          room,
          thread,
          typing: { who: detail.user.display_name, text: "is typing", until: Date.now() + TYPING_MS },
        },
      ];
    }
    return type === "interaction" ? this.#interaction(detail) : [];
  }

  #interaction(view) {
    if (view.state === "waiting") return [{ laterMs: ANSWER_MS, changes: () => this.#isAnswered(view.id) }];
    if (view.modal === null) return [];
    const submit = async (values) => {
      await this.control.post("submissions", { interaction_id: view.id, values });
      return { closes: true };
    };
    return [
      {
        form: {
          id: view.id,
          title: view.modal.title,
          fields: fieldsOf(view.modal.components),
          submitLabel: "Submit",
          submit,
          dismiss: () => null,
        },
      },
    ];
  }

  async #isAnswered(id) {
    const found = (await this.control.get("interactions")).find((one) => one.id === id);
    return found?.state === "failed" ? [{ notice: "The application did not respond." }] : [];
  }

  #message(view) {
    const channel = this.#channels.get(view.channel_id);
    const isInThread = channel !== undefined && isThread(channel);
    return {
      id: view.id,
      room: isInThread ? channel.parent_id : view.channel_id,
      channel: view.channel_id,
      thread: isInThread ? view.channel_id : null,
      at: view.at * 1000,
      author: { id: view.author.id, name: view.author.display_name, isBot: view.author.is_bot },
      body: () =>
        renderMessage(
          view,
          (token) => this.#named(token),
          (name) => this.#attached(view, name),
        ),
      text: view.content,
      quote: view.reply_to ? this.#quote(view) : null,
      files: view.attachments.map((one) => this.#file(one)),
      controls: rowsOf(
        view.components,
        (custom_id) => (person, value) =>
          this.control.post("presses", {
            ...place({ channel: view.channel_id, id: view.id }),
            custom_id,
            user: user(person),
            values: value === undefined ? [] : [value],
          }),
      ),
      reactions: Object.entries(view.reactions).map(([value, who]) => ({ shown: value, value, who })),
      edits: view.edits.length,
      deleted: view.deleted,
      onlyFor: view.ephemeral_to && (this.#names.get(view.ephemeral_to) ?? "one person"),
      isStreaming: view.is_loading,
    };
  }

  #named(token) {
    const name = this.#names.get(token.replace(/^[@#][!&]?/, ""));
    return name ? `${token[0]}${name}` : null;
  }

  #quote(view) {
    const shown = document.querySelector(`#column-discord [data-id="${view.reply_to}"] .text`);
    return shown ? shown.textContent.slice(0, 80) : "an earlier message";
  }

  #attached(view, name) {
    const found = view.attachments.find((one) => one.filename === name);
    return found ? this.control.address(`files/${found.id}`) : null;
  }

  #file(one) {
    const kind = /^(image|audio|video)\//.exec(one.content_type ?? "")?.[1] ?? "file";
    return { name: one.filename, url: this.control.address(`files/${one.id}`), size: one.size, kind };
  }
}

function isThread(channel) {
  return channel.type.endsWith("_thread");
}

// A thread that was started from a message has its id.
function threadOf(channel) {
  return { id: channel.id, title: channel.name, root: channel.id };
}

function place(message) {
  return { channel_id: message.channel, message_id: message.id };
}

function user(person) {
  return { id: person.id, username: person.handle, display_name: person.name };
}
