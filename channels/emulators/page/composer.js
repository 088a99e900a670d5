// Where one writes: as whom, into which thread or as an answer to what, with which files.

import { button, element, options } from "/page/dom.js";

export class Composer {
  #mode = null; // { kind: "reply" | "edit", message } or { kind: "thread", thread }
  #files = [];
  #commands = [];

  constructor(column) {
    this.column = column;
    const { title } = column.network;
    this.context = element("span");
    this.bar = element(
      "div",
      { class: "context", hidden: true },
      this.context,
      button("×", () => this.leave(), { "aria-label": "Leave" }),
    );
    this.prompts = element("div", { class: "prompts", "aria-label": "Suggestions" });
    this.chips = element("ul", { class: "chips", "aria-label": "Files" });
    this.as = element("select", { "aria-label": `Write in ${title} as`, onchange: () => this.#choose() });
    this.picker = element("input", {
      type: "file",
      multiple: true,
      hidden: true,
      onchange: () => this.#add(this.picker),
    });
    this.text = element("textarea", {
      rows: 1,
      placeholder: "Message",
      "aria-label": `Message in ${title}`,
      onkeydown: (event) => this.#key(event),
      oninput: () => this.#suggest(),
      onpaste: (event) => this.#add(event.clipboardData),
    });
    this.node = element(
      "form",
      { class: "composer", autocomplete: "off", onsubmit: (event) => this.#submit(event) },
      this.prompts,
      this.bar,
      this.chips,
      element(
        "div",
        { class: "line" },
        button("+", () => this.picker.click(), {
          class: "attach",
          "aria-label": "Attach files",
          title: "Attach files",
        }),
        this.picker,
        this.text,
        element("button", { type: "submit", class: "send" }, "Send"),
      ),
      element(
        "div",
        { class: "as" },
        element("label", {}, "as ", this.as),
        button("+ Person", () => this.column.askPerson(), { class: "quiet" }),
      ),
    );
  }

  showPeople(commands = this.#commands) {
    this.#commands = commands;
    this.people = new Map(this.column.people.map((person) => [String(person.id), person]));
    options(
      this.as,
      this.column.people.map((one) => [String(one.id), one.name]),
      String(this.column.person.id),
    );
  }

  showPrompts(prompts) {
    this.prompts.replaceChildren(
      ...prompts.map((prompt) => button(prompt.title, () => this.#put(prompt.message))),
    );
  }

  reply(message) {
    this.#enter({ kind: "reply", message }, `Answering ${message.author.name}: ${message.text}`);
  }

  edit(message) {
    this.#enter({ kind: "edit", message }, "Changing a message");
    this.#put(message.text);
  }

  startThread(message) {
    this.enterThread({ id: message.thread ?? message.id, title: message.text, root: message.id });
  }

  enterThread(thread) {
    this.#enter({ kind: "thread", thread }, `In the thread ${thread.title ? `“${thread.title}”` : ""}`);
  }

  leave() {
    if (this.#mode?.kind === "edit") this.text.value = "";
    this.#mode = null;
    this.bar.hidden = true;
  }

  #enter(mode, description) {
    this.#mode = mode;
    this.context.textContent = description;
    this.bar.hidden = false;
    this.text.focus();
  }

  #put(text) {
    this.text.value = text;
    this.text.focus();
  }

  #choose() {
    return this.column.choosePerson(this.people.get(this.as.value).id);
  }

  #add(source) {
    if (!source.files?.length) return;
    this.#files.push(...source.files);
    this.picker.value = "";
    this.#showFiles();
  }

  #showFiles() {
    this.chips.replaceChildren(
      ...this.#files.map((file) =>
        element(
          "li",
          {},
          file.name,
          button(
            "×",
            () => {
              this.#files = this.#files.filter((one) => one !== file);
              this.#showFiles();
            },
            { "aria-label": `Remove ${file.name}` },
          ),
        ),
      ),
    );
  }

  // A slash alone shows which commands there are.
  #suggest() {
    if (this.text.value !== "/") return;
    this.showPrompts(this.#commands.map((command) => ({ title: command, message: `${command} ` })));
  }

  #key(event) {
    if (event.key === "Escape") this.leave();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.node.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.text.value;
    if (!text.trim() && this.#files.length === 0) return undefined;
    this.column.showNotice("");
    return this.column.observed(() => this.#send(text));
  }

  async #send(text) {
    const { network, person, roomId } = this.column;
    const mode = this.#mode;
    const files = this.#files;
    this.text.value = "";
    this.#files = [];
    this.#showFiles();
    try {
      if (mode?.kind === "edit") await network.edit(mode.message, text);
      else {
        const reply = mode?.kind === "reply" ? mode.message : null;
        const thread = mode?.kind === "thread" ? mode.thread : null;
        await network.say({ room: roomId, person, text, files, reply, thread });
      }
    } catch (error) {
      // What was refused is not lost.
      this.text.value = text;
      this.#files = files;
      this.#showFiles();
      throw error;
    }
    if (mode?.kind !== "thread") this.leave();
  }
}
