// One network: the people one can be, its rooms, what is said in one of them, and what one does there.

import { Composer } from "/page/composer.js";
import { button, element } from "/page/dom.js";
import { FaultPanel } from "/page/faults.js";
import { FormSheet } from "/page/forms.js";
import { Log } from "/page/log.js";

const NOTICE_MS = 6000;
const DIRECT = "direct"; // the room of the person and the bot; every person has their own

export class Column {
  #people = new Map();
  #rooms = new Map();
  #unread = new Set();
  #chosen = DIRECT;
  #roomId = null;
  #person = null;
  #bot = null;
  #messages = new Map();
  #noticeTimer = null;
  #opening = 0;

  constructor(kind, network) {
    this.kind = kind;
    this.network = network;
    this.#make();
  }

  #make() {
    this.rooms = element("nav", { class: "rooms", "aria-label": `${this.network.title} rooms` });
    this.note = element("p", { class: "note" });
    this.notice = element("p", { class: "notice", role: "alert", hidden: true });
    this.log = new Log(this);
    this.composer = new Composer(this);
    this.sheet = new FormSheet(this);
    this.faults = new FaultPanel(this);
    const head = element("header", { class: "head" }, element("h2", {}, this.network.title), this.note);
    const id = `column-${this.kind}`;
    const label = { class: "column", id, "data-kind": this.kind, "aria-label": this.network.title };
    this.node = element(
      "section",
      label,
      head,
      this.rooms,
      this.log.node,
      this.sheet.node,
      this.notice,
      this.composer.node,
      this.faults.node,
    );
  }

  get person() {
    return this.#person;
  }

  get roomId() {
    return this.#roomId;
  }

  get isDirect() {
    return this.#chosen === DIRECT;
  }

  get people() {
    return [...this.#people.values()];
  }

  message(id) {
    return this.#messages.get(id);
  }

  // Everything anew, after the connection came back or when something changed that is not one message.
  reload() {
    return this.observed(async () => {
      const { bot, people, rooms, commands } = await this.network.load();
      this.#bot = bot;
      for (const person of people) this.#people.set(person.id, person);
      this.#rooms = new Map(rooms.map((room) => [room.id, room]));
      this.#person ??= this.people[0];
      this.composer.showPeople(commands);
      await this.#open(this.#chosen, false);
    });
  }

  open(chosen) {
    return this.observed(() => this.#open(chosen, true));
  }

  async #open(chosen, isNew) {
    const turn = ++this.#opening;
    this.#chosen = chosen === DIRECT || this.#rooms.has(chosen) ? chosen : DIRECT;
    const roomId = this.isDirect ? await this.network.direct(this.#person) : this.#chosen;
    const { messages, threads, prompts } = await this.network.messages(roomId);
    if (turn !== this.#opening) return;
    this.#roomId = roomId;
    this.#unread.delete(roomId);
    this.#messages = new Map(messages.map((message) => [message.id, message]));
    this.#showRooms();
    this.log.show(messages, threads);
    if (isNew) this.composer.leave();
    this.composer.showPrompts(prompts);
  }

  #showRooms() {
    const entry = (id, title, isUnread) => {
      const attributes = { class: "room", "aria-current": String(id === this.#chosen) };
      const made = button(title, () => this.open(id), attributes);
      if (isUnread) made.append(element("i", { role: "img", "aria-label": "unread" }));
      return made;
    };
    const rooms = [...this.#rooms.values()];
    const isElsewhere = (id) => this.#unread.has(id) && !this.#rooms.has(id);
    this.rooms.replaceChildren(
      entry(DIRECT, `${this.#bot.name} ↔ ${this.#person.name}`, [...this.#unread].some(isElsewhere)),
      ...rooms.map((room) => entry(room.id, room.title, this.#unread.has(room.id))),
      button("+ Room", () => this.#askRoom(), { class: "room add" }),
    );
    this.note.textContent = this.isDirect ? "direct messages" : this.#rooms.get(this.#chosen).note;
  }

  choosePerson(id) {
    this.#person = this.#people.get(id);
    return this.open(this.#chosen);
  }

  askPerson() {
    const accept = async ({ name }) => {
      this.#person = this.network.newPerson(name, this.people);
      this.#people.set(this.#person.id, this.#person);
      this.composer.showPeople();
      await this.#open(this.#chosen, true);
    };
    this.sheet.ask("Add a person", "Name", accept);
  }

  #askRoom() {
    const accept = async ({ name }) => {
      const id = await this.network.addRoom(name, this.#person);
      this.#chosen = id;
      await this.reload();
    };
    this.sheet.ask("Add a room", "Name", accept);
  }

  changed(event) {
    return this.observed(async () => {
      for (const change of this.network.change(event)) await this.#take(change);
    });
  }

  async #take(change) {
    if (change.reload) return this.reload();
    if (change.notice) return this.showNotice(change.notice);
    if (change.laterMs) return this.#takeLater(change);
    if (change.form) return this.sheet.show(change.form);
    if (change.formClosed) return this.sheet.close(change.formClosed);
    if (change.room !== this.#roomId) {
      if (change.message?.author.isBot) this.#unread.add(change.room);
      return this.#showRooms();
    }
    if (change.message) this.#show(change.message);
    if (change.reaction) this.#show(change.reaction(this.#messages));
    if (change.draft) this.log.showDraft(change.draft);
    if (change.typing) this.log.showTyping(change.thread, change.typing);
    if (change.threadInfo) this.log.showThread(change.threadInfo);
    if (change.prompts) this.composer.showPrompts(change.prompts);
    return undefined;
  }

  #takeLater({ laterMs, changes }) {
    setTimeout(
      () =>
        this.observed(async () => {
          for (const change of await changes()) await this.#take(change);
        }),
      laterMs,
    );
  }

  #show(message) {
    if (!message) return;
    const isNew = !this.#messages.has(message.id);
    this.#messages.set(message.id, message);
    this.log.showMessage(message, isNew);
  }

  showNotice(text) {
    clearTimeout(this.#noticeTimer);
    this.notice.textContent = text;
    this.notice.hidden = !text;
    if (text) this.#noticeTimer = setTimeout(() => this.showNotice(""), NOTICE_MS);
  }

  // Errors are shown where they happened; the page goes on.
  async observed(action) {
    try {
      return await action();
    } catch (error) {
      this.showNotice(error.message);
      return undefined;
    }
  }
}
