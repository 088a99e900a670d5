// What was said in a room: messages in their order, threads under the message they hang on, drafts and typing.

import { button, element, face } from "/page/dom.js";

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const AT_END_PX = 90; // so near the end, the view follows what is new

export class Log {
  #threads = new Map();
  #timers = new Map();

  constructor(column) {
    this.column = column;
    this.list = element("ol", {
      class: "messages",
      role: "log",
      "aria-label": `Messages in ${column.network.title}`,
    });
    this.node = element("div", { class: "log", tabindex: "0" }, this.list);
    let wasAtEnd = true;
    this.node.addEventListener("scroll", () => {
      wasAtEnd = this.#isAtEnd();
    });
    // A form or the fault panel takes room from below.
    new ResizeObserver(() => wasAtEnd && this.#toEnd()).observe(this.node);
  }

  show(messages, threads) {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#threads = new Map(threads.map((thread) => [thread.id, thread]));
    this.list.replaceChildren();
    for (const message of messages) this.#place(message);
    for (const thread of threads) if (thread.root === null) this.#listOf(thread.id);
    if (this.list.children.length === 0)
      this.list.append(element("li", { class: "empty" }, "Nothing said yet. Write the first message."));
    this.#toEnd();
  }

  showMessage(message, isNew) {
    const isAtEnd = this.#isAtEnd();
    if (message.author.isBot && isNew) this.#settle(message.thread);
    const item = this.#place(message);
    if (isAtEnd) this.#toEnd();
    else if (isNew) item.scrollIntoView({ block: "nearest" });
  }

  showThread(thread) {
    this.#threads.set(thread.id, { ...this.#threads.get(thread.id), ...thread });
    const shown = this.list.querySelector(`[data-thread="${CSS.escape(thread.id)}"] > .thread-title`);
    if (shown) shown.textContent = this.#titleOf(thread);
  }

  // A thread that is named after the message above it needs no title.
  #titleOf(thread) {
    const root = thread.root && this.column.message(thread.root);
    return root?.text.includes(thread.title.replace(/…$/, "")) ? "" : thread.title;
  }

  // A draft is one growing message; it goes when its time is up or the real message comes.
  showDraft(draft) {
    const isAtEnd = this.#isAtEnd();
    const made = this.#item(draft);
    made.classList.add("draft", "passing");
    this.#drop(`typing:${draft.thread}`);
    this.#showPassing(`draft:${draft.thread}`, draft.thread, made, draft.until);
    if (isAtEnd) this.#toEnd();
  }

  showTyping(thread, typing) {
    const key = `typing:${thread}`;
    if (!typing.text) return this.#drop(key);
    const isAtEnd = this.#isAtEnd();
    const dots = element(
      "span",
      { class: "dots", "aria-hidden": "true" },
      element("i"),
      element("i"),
      element("i"),
    );
    const made = element("li", { class: "typing passing" }, dots, `${typing.who} ${typing.text}`);
    this.#showPassing(key, thread, made, typing.until);
    if (isAtEnd) this.#toEnd();
    return undefined;
  }

  #toEnd() {
    this.node.scrollTop = this.node.scrollHeight;
  }

  #isAtEnd() {
    return this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < AT_END_PX;
  }

  #showPassing(key, thread, made, until) {
    this.#drop(key);
    made.dataset.key = key;
    this.#listOf(thread).append(made);
    this.#timers.set(
      key,
      setTimeout(() => this.#drop(key), Math.max(0, until - Date.now())),
    );
  }

  #drop(key) {
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.list.querySelector(`[data-key="${CSS.escape(key)}"]`)?.remove();
  }

  // The bot has said something: what only announced it goes.
  #settle(thread) {
    this.#drop(`draft:${thread}`);
    this.#drop(`typing:${thread}`);
  }

  // Puts a new message at the end of its list, a known one where it was, so that an edit never moves anything.
  #place(message) {
    this.list.querySelector(":scope > .empty")?.remove();
    const made = this.#item(message);
    const shown = this.list.querySelector(`[data-id="${CSS.escape(message.id)}"]`);
    if (shown) {
      const replies = shown.querySelector(":scope > .thread");
      if (replies) made.append(replies);
      const isChanged = Number(made.dataset.edits) > Number(shown.dataset.edits);
      if (isChanged && !message.author.isBot) made.classList.add("fresh");
      shown.replaceWith(made);
    } else {
      const list = this.#listOf(message.thread);
      list.insertBefore(made, list.querySelector(":scope > .passing"));
    }
    return made;
  }

  #listOf(threadId) {
    if (threadId === null || threadId === undefined) return this.list;
    const known = this.list.querySelector(`[data-thread="${CSS.escape(threadId)}"]`);
    if (known) return known.querySelector(":scope > ol");
    const thread = this.#threads.get(threadId) ?? { id: threadId, title: "", root: threadId };
    const list = element("ol", { "aria-label": thread.title ? `Thread ${thread.title}` : "Thread" });
    const open = () => this.column.composer.enterThread(this.#threads.get(threadId) ?? thread);
    const made = element(
      "div",
      { class: "thread", "data-thread": threadId },
      element("div", { class: "thread-title" }, this.#titleOf(thread)),
      list,
      button("Write in this thread", open, { class: "thread-open" }),
    );
    const root = thread.root && this.list.querySelector(`[data-id="${CSS.escape(thread.root)}"]`);
    if (root) root.append(made);
    else
      this.list.insertBefore(
        element("li", { class: "alone" }, made),
        this.list.querySelector(":scope > .passing"),
      );
    return list;
  }

  #item(message) {
    if (message.isService) return element("li", { class: "service", "data-id": message.id }, message.text);
    const marks = {
      mine: message.author.id === this.column.person.id,
      bot: message.author.isBot,
      deleted: message.deleted,
      ephemeral: message.onlyFor,
      streaming: message.isStreaming,
    };
    const names = Object.keys(marks).filter((name) => marks[name]);
    const bubble = element("div", { class: "bubble", "aria-busy": message.isStreaming ? "true" : null });
    if (message.onlyFor) bubble.append(element("div", { class: "only" }, `Only ${message.onlyFor} can see this`));
    bubble.append(this.#head(message));
    if (message.quote) bubble.append(element("div", { class: "quote" }, message.quote));
    const body = element("div", { class: "text", dir: "auto" });
    body.append(message.body());
    bubble.append(body, ...message.files.map(attachment));
    if (!message.deleted) bubble.append(...message.controls.map((row) => this.#controls(row)));
    bubble.append(this.#reactions(message));
    if (!message.deleted && !message.isDraft && !message.onlyFor) bubble.append(this.#actions(message));
    const attributes = {
      class: ["message", ...names].join(" "),
      "data-id": message.id,
      "data-edits": message.edits,
    };
    return element("li", attributes, face(message.author.name), bubble);
  }

  #head(message) {
    const at = new Date(message.at);
    return element(
      "div",
      { class: "who" },
      element("b", {}, message.author.name),
      message.author.isBot && element("span", { class: "badge" }, "APP"),
      element("time", { datetime: at.toISOString() }, at.toLocaleTimeString([], CLOCK)),
      message.isStreaming && element("span", { class: "writing" }, "writing"),
      message.deleted && element("span", { class: "state" }, "deleted"),
      !message.deleted &&
        message.edits > 0 &&
        element("span", { class: "state", title: `${message.edits} edits` }, "edited"),
    );
  }

  #controls(row) {
    const act = (control, value) => this.column.observed(() => control.press(this.column.person, value));
    return element(
      "div",
      { class: "controls" },
      ...row.map((control) => {
        if (control.url)
          return element(
            "a",
            { class: "control", href: control.url, target: "_blank", rel: "noopener noreferrer" },
            control.label,
          );
        if (control.choices) {
          const choices = control.choices.map(([value, label]) => new Option(label, value));
          const first = new Option(control.label, "");
          const onchange = (event) => event.target.value && act(control, event.target.value);
          return element("select", { "aria-label": control.label, onchange }, first, ...choices);
        }
        return button(control.label, () => act(control), {
          class: `control ${control.style ?? ""}`,
          disabled: control.disabled,
        });
      }),
    );
  }

  #reactions(message) {
    const me = this.column.person;
    const toggle = (one) =>
      this.column.observed(() => this.column.network.react(message, me, one.value, one.who.includes(me.id)));
    const made = message.reactions
      .filter((one) => one.who.length > 0)
      .map((one) =>
        button(`${one.shown} ${one.who.length}`, () => toggle(one), {
          class: "reaction",
          "aria-pressed": String(one.who.includes(me.id)),
          "aria-label": `${one.shown}, ${one.who.length}`,
        }),
      );
    return element("div", { class: "reactions" }, ...made);
  }

  #actions(message) {
    const { composer, network, person } = this.column;
    const isMine = message.author.id === person.id;
    const react = (value) => this.column.observed(() => network.react(message, person, value, false));
    const choices = network.emoji.map(([shown, value]) =>
      button(shown, () => react(value), { "aria-label": `React ${shown}` }),
    );
    return element(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "Message" },
      ...choices,
      message.stop && button("Stop", () => this.column.observed(() => message.stop(person))),
      network.canReply && button("Reply", () => composer.reply(message)),
      network.canThread(message) && button("Thread", () => composer.startThread(message)),
      isMine && button("Edit", () => composer.edit(message)),
      isMine && button("Delete", () => this.column.observed(() => network.remove(message))),
    );
  }
}

function attachment(file) {
  if (file.kind === "image") return element("img", { class: "picture", src: file.url, alt: file.name });
  if (file.kind === "audio") return element("audio", { src: file.url, controls: true, "aria-label": file.name });
  if (file.kind === "video") return element("video", { src: file.url, controls: true, "aria-label": file.name });
  const size = file.size < 1024 ? `${file.size} bytes` : `${(file.size / 1024).toFixed(1)} KiB`;
  return element(
    "a",
    { class: "file", href: file.url, download: file.name },
    element("b", {}, file.name),
    element("small", {}, size),
  );
}
