// Slack behind the shape of networks.js. Threads hang on their root's ts; a message's id is its ts.

import { base64 } from "/page/dom.js";
import { emoji, renderBlocks, renderMrkdwn, textObject } from "/page/slack-blocks.js";

const STATUS_MS = 120_000; // a status that is not renewed disappears
const NAMES = ["eyes", "+1", "tada", "heart"];
const INPUTS = { plain_text_input: "line", static_select: "choice", radio_buttons: "choice" };

export function slack(control) {
  return new Slack(control);
}

class Slack {
  title = "Slack";
  emoji = NAMES.map((name) => [emoji(name), name]);
  canReply = false;
  faultMethods = [
    ["chat.postMessage", "chat.postMessage"],
    ["chat.startStream", "chat.startStream"],
    ["chat.appendStream", "chat.appendStream"],
    ["chat.stopStream", "chat.stopStream"],
    ["chat.update", "chat.update"],
    ["any call", ""],
  ];
  #names = new Map();
  #bot = null;

  constructor(control) {
    this.control = control;
    this.troubles = [
      ["Cut the sockets", () => control.post("drop_sockets", {})],
      ["Refuse 3 sockets", () => control.post("refuse_upgrades", { count: 3 })],
      ["Ask to reconnect", () => control.post("disconnect", {})],
      ["End streams", () => control.post("expire_streams", {})],
      ["Send again now", () => control.post("hurry", {})],
    ];
  }

  canThread() {
    return true;
  }

  async load() {
    const [bots, users, channels] = await Promise.all(
      ["bots", "users", "channels"].map((path) => this.control.get(path)),
    );
    this.#bot = bots[0];
    this.#names = new Map([
      ...users.map((user) => [user.id, user.real_name]),
      ...bots.map((bot) => [bot.user_id, bot.name]),
      ...channels.map((channel) => [channel.id, channel.name]),
    ]);
    return {
      bot: { id: this.#bot.user_id, name: this.#bot.name },
      people: users.map((user) => ({ id: user.id, name: user.real_name, handle: user.name })),
      rooms: channels
        .filter((one) => one.kind !== "im")
        .map((one) => ({ id: one.id, title: `#${one.name}`, note: `mention @${this.#bot.name}` })),
      commands: ["/threadgate"],
    };
  }

  async direct(person) {
    const { channel } = await this.control.post("homes", { user: user(person), tab: "messages" });
    return channel;
  }

  async messages(roomId) {
    const [channels, messages] = await Promise.all([
      this.control.get("channels"),
      this.control.get(`channels/${roomId}/messages`),
    ]);
    const threads = channels.find((one) => one.id === roomId).threads;
    return {
      messages: messages.filter((one) => one.subtype !== "assistant_app_thread").map((one) => this.#message(one)),
      threads: threads
        .filter((one) => one.thread_ts)
        .map((one) => ({ id: one.thread_ts, title: one.title, root: one.thread_ts })),
      prompts: messages.length === 0 ? threads.flatMap((one) => one.prompts) : [],
    };
  }

  async say({ room, person, text, files, thread }) {
    if (text.startsWith("/")) {
      const [command, ...words] = text.split(" ");
      return this.control.post("commands", { command, text: words.join(" "), user: user(person), channel: room });
    }
    const contents = files.map(async (file) => ({ name: file.name, content_base64: await base64(file) }));
    const body = { channel: room, text, user: user(person), thread_ts: thread?.id ?? null };
    return this.control.post("messages", { ...body, files: await Promise.all(contents) });
  }

  edit(message, text) {
    return this.control.post("edits", { channel: message.room, ts: message.id, text });
  }

  remove(message) {
    return this.control.post("deletions", { channel: message.room, ts: message.id });
  }

  react(message, person, value, isTaken) {
    const body = { channel: message.room, ts: message.id, emoji: value, user: user(person), is_added: !isTaken };
    return this.control.post("reactions", body);
  }

  async addRoom(name, person) {
    const spelled = name.toLowerCase().replace(/[^\p{L}\p{N}_-]+/gu, "-");
    return (await this.control.post("channels", { name: spelled, user: user(person) })).channel;
  }

  newPerson(name, people) {
    const handle = name.toLowerCase().replace(/[^a-z0-9]/g, "") || "person";
    return { id: `U0${handle.toUpperCase()}${people.length}`, name, handle };
  }

  async connection() {
    const [sockets, deliveries] = await Promise.all([this.control.get("sockets"), this.control.get("deliveries")]);
    const waiting = deliveries.undelivered.length; // Slack repeats at once, after a minute, after five
    return `The gateway has ${sockets.length} sockets open; not acknowledged yet: ${waiting}`;
  }

  change(event) {
    const { type, channel, detail } = event;
    if (["message", "edited", "deleted", "stream", "reaction", "ephemeral"].includes(type)) {
      const isStranger = !detail.is_bot && !this.#names.has(detail.user);
      return isStranger ? [{ reload: true }] : [{ room: channel, message: this.#message(detail) }];
    }
    const thread = detail.thread_ts || null;
    if (type === "status") {
      return [
        {
          room: channel,
          thread,
          typing: { who: this.#bot.name, text: detail.status, until: Date.now() + STATUS_MS },
        },
      ];
    }
    if (type === "prompts") return [{ room: channel, prompts: detail.prompts }];
    if (type === "view") return this.#viewChange(detail);
    if (["title", "session"].includes(type) && thread) {
      return [{ room: channel, threadInfo: { id: thread, title: detail.title, root: thread } }];
    }
    return ["channel", "joined", "left"].includes(type) ? [{ reload: true }] : [];
  }

  #message(view) {
    const isReply = view.thread_ts && view.thread_ts !== view.ts;
    return {
      id: view.ts,
      room: view.channel,
      thread: isReply ? view.thread_ts : null,
      at: parseFloat(view.ts) * 1000,
      author: {
        id: view.user,
        name: view.is_bot ? view.author : (this.#names.get(view.user) ?? view.user),
        isBot: view.is_bot,
      },
      body: () =>
        view.blocks.length > 0 ? renderBlocks(view.blocks, this.#names) : renderMrkdwn(view.text, this.#names),
      text: view.text,
      quote: null,
      files: view.files.filter((file) => !file.deleted).map((file) => this.#file(file)),
      controls: this.#controls(view),
      reactions: view.reactions.map((one) => ({ shown: emoji(one.name), value: one.name, who: one.users })),
      edits: view.stream ? 0 : view.edits.length,
      deleted: view.deleted,
      onlyFor: view.ephemeral_to && (this.#names.get(view.ephemeral_to) ?? view.ephemeral_to),
      isStreaming: view.streaming,
      stop:
        view.streaming &&
        isReply &&
        ((person) =>
          this.control.post("session_stops", {
            channel: view.channel,
            thread_ts: view.thread_ts,
            user: user(person),
          })),
    };
  }

  #file(file) {
    const kind = /^(image|audio|video)\//.exec(file.mimetype)?.[1] ?? "file";
    return { name: file.name, url: this.control.address(`files/${file.id}`), size: file.size, kind };
  }

  #controls(view) {
    const press = (action_id) => (person, option) =>
      this.control.post("presses", {
        channel: view.channel,
        ts: view.ts,
        action_id,
        user: user(person),
        option: option ?? null,
      });
    const rows = new Map();
    for (const one of view.buttons) {
      const choices =
        one.options.length > 0 ? one.options.map((option) => [option.value, option.text.text]) : null;
      const made = { label: one.text, style: one.style, url: one.url, choices, press: press(one.action_id) };
      rows.set(one.block_id, [...(rows.get(one.block_id) ?? []), made]);
    }
    return [...rows.values()];
  }

  #viewChange(view) {
    if (view.type !== "modal") return [];
    if (!view.is_open) return [{ formClosed: view.id }];
    const inputs = view.blocks.filter((block) => block.type === "input");
    const intro = renderBlocks(
      view.blocks.filter((block) => block.type !== "input"),
      this.#names,
    );
    const form = {
      id: view.id,
      title: view.title.text,
      intro,
      fields: inputs.map((block) => field(block, view.errors[block.block_id], this.#names)),
      submitLabel: view.submit?.text,
      closeLabel: view.close?.text,
      submit: (values) => this.control.post("submissions", { view_id: view.id, values }),
      dismiss: () => this.control.post("dismissals", { view_id: view.id }),
    };
    return [{ form }];
  }
}

function field(block, error, names) {
  const { element: input } = block;
  const kind = INPUTS[input.type] ?? "line";
  return {
    id: input.action_id,
    label: textObject(block.label, names).textContent,
    hint: input.placeholder?.text ?? null,
    kind: input.multiline ? "lines" : kind,
    choices: (input.options ?? []).map((option) => [option.value, option.text.text]),
    value: input.initial_value ?? "",
    isRequired: !block.optional,
    most: input.max_length ?? null,
    error,
  };
}

function user(person) {
  return { id: person.id, name: person.handle, real_name: person.name };
}
