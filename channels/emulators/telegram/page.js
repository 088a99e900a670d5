// The chat page: play a person, watch what the bot shows. State comes from /control/, changes from its events;
// after a lost connection everything is loaded anew.

import { renderText } from "/page-text.js";

const TYPING_MS = 5000; // a chat action is shown this long, as in the real apps
const FIRST_PERSON = { id: 1001, first_name: "Ada", username: "ada" };
const byId = (id) => document.getElementById(id);

const people = new Map([[FIRST_PERSON.id, FIRST_PERSON]]);
const groups = new Map();
const unread = new Set();
const messages = new Map();
let bots = [];
let botName = null;
let roomId = FIRST_PERSON.id;
let replyTo = null;
let typingTimer = null;
let draftTimer = null;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `error ${response.status}`);
  return answer;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function face(node, id, name) {
  node.textContent = [...name][0]?.toUpperCase() ?? "?";
  node.className = `face hue${Math.abs(id) % 5}`;
  return node;
}

async function loadEverything() {
  bots = await ask("/control/bots");
  botName ??= bots[0].username;
  for (const chat of await ask("/control/chats")) {
    for (const user of chat.members) people.set(user.id, user);
    if (chat.type !== "private") groups.set(chat.id, chat);
  }
  fillOptions(byId("bot"), bots.map((bot) => [bot.username, bot.first_name]), botName);
  byId("bot-choice").hidden = bots.length < 2;
  await openRoom(roomId);
}

async function openRoom(id) {
  roomId = id;
  replyTo = null;
  unread.delete(id);
  messages.clear();
  hideTyping();
  const chats = await ask("/control/chats");
  const isKnown = chats.some((chat) => chat.id === id && chat.bots.includes(botName));
  const query = `?bot=${encodeURIComponent(botName)}`;
  const loaded = isKnown ? await ask(`/control/chats/${id}/messages${query}`) : [];
  if (id !== roomId) return;
  for (const message of loaded) messages.set(keyOf(message), message);
  showRooms();
  showHead();
  showMessages();
  const drafts = isKnown ? await ask(`/control/chats/${id}/drafts${query}`) : [];
  if (id === roomId) drafts.forEach(showDraft);
}

// Messages for one person's eyes all have the id 0; their own ids are told apart by the letter.
function keyOf(message) {
  return message.ephemeral_message_id === null ? message.message_id : `e${message.ephemeral_message_id}`;
}

function showRooms() {
  const entries = [];
  for (const person of people.values()) entries.push(entry(person.id, person.first_name, "private chat"));
  for (const group of groups.values()) {
    entries.push(entry(group.id, group.title, group.topics?.length ? "forum" : group.type));
  }
  byId("rooms").replaceChildren(...entries);
}

function entry(id, name, kind) {
  const button = element("button", "entry");
  const names = element("div");
  names.append(element("b", "", name), element("small", "", kind));
  button.append(face(element("span"), id, name), names);
  if (unread.has(id)) button.append(element("i"));
  button.type = "button";
  button.setAttribute("aria-current", String(id === roomId));
  button.addEventListener("click", () => guarded(() => openRoom(id)));
  return button;
}

function showHead() {
  const bot = bots.find((one) => one.username === botName);
  const group = groups.get(roomId);
  const title = group ? group.title : bot.first_name;
  byId("room-title").textContent = title;
  byId("room-note").textContent = group
    ? `group with @${botName}: mention it, reply to it or use a /command`
    : `@${botName} · you are ${people.get(roomId).first_name}`;
  face(byId("room-face"), group ? group.id : bot.id, title);
  byId("as-choice").hidden = !group;
  fillOptions(byId("as"), [...people.values()].map((one) => [one.id, one.first_name]));
  byId("topic-choice").hidden = !group?.topics?.length;
  const topics = (group?.topics ?? []).map((one) => [one.message_thread_id, one.name]);
  fillOptions(byId("topic"), [["", "General"], ...topics]);
  showReply();
}

function fillOptions(select, pairs, chosen = select.value) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => String(value) === String(chosen))) select.value = chosen;
}

function showMessages() {
  const list = byId("messages");
  const items = [...messages.values()].map(item);
  if (items.length === 0) items.push(element("li", "empty", "Nothing said yet. Write the first message."));
  list.replaceChildren(...items);
  list.scrollTop = list.scrollHeight;
}

// Shows a new or changed message in its place, so that an edit never moves anything.
function showMessage(message) {
  const isNew = !messages.has(keyOf(message));
  messages.set(keyOf(message), message);
  const list = byId("messages");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const made = item(message);
  const shown = list.querySelector(`[data-id="${keyOf(message)}"]`);
  if (shown) shown.replaceWith(made);
  else {
    list.querySelector(".empty")?.remove();
    list.insertBefore(made, list.querySelector(".typing, .draft"));
  }
  if (!isNew) made.classList.add("fresh");
  if (isAtEnd || isNew) list.scrollTop = list.scrollHeight;
}

function item(message) {
  const made = element("li");
  made.dataset.id = keyOf(message);
  if (message.service !== null) {
    made.className = "service";
    made.textContent = serviceText(message);
    return made;
  }
  const isMine = message.from.id === writer().id;
  made.className = `message${isMine ? " mine" : ""}${message.deleted ? " deleted" : ""}`;
  if (groups.has(roomId)) made.append(element("div", "who", message.from.first_name));
  if (message.ephemeral_to) made.append(element("div", "only", `only ${message.ephemeral_to.first_name} sees this`));
  const quoted = messages.get(message.reply_to);
  if (quoted) made.append(element("div", "quote", `${quoted.from.first_name}: ${quoted.text}`));
  if (message.media) made.append(attachment(message.media));
  made.append(textOf(message));
  if (message.keyboard && !message.deleted) made.append(keys(message));
  made.append(foot(message));
  return made;
}

function textOf(content) {
  const text = element("div", "text");
  text.dir = "auto";
  text.append(renderText(content.text, content.entities));
  return text;
}

function serviceText(message) {
  const [kind, facts] = Object.entries(message.service)[0];
  if (kind === "forum_topic_created") return `Topic “${facts.name}” created`;
  const names = [facts].flat().map((one) => one?.first_name).filter(Boolean);
  return [kind.replaceAll("_", " "), ...names].join(" ");
}

function attachment(media) {
  if (media.kind === "photo" || media.kind === "sticker") {
    const picture = element("img", media.kind);
    picture.src = media.url;
    picture.alt = media.kind;
    return picture;
  }
  if (["voice", "audio", "video"].includes(media.kind)) {
    const player = element(media.kind === "video" ? "video" : "audio", "player");
    player.src = media.url;
    player.controls = true;
    return player;
  }
  const link = element("a", "file", media.file_name ?? "file");
  link.href = media.url;
  link.download = media.file_name ?? "";
  link.append(element("small", "", ` ${media.size} bytes`));
  return link;
}

function foot(message) {
  const made = element("div", "foot");
  const reactions = Object.values(message.reactions ?? {}).flat();
  if (reactions.length > 0) made.append(element("span", "reactions", reactions.join("")));
  if (!message.deleted) {
    const reply = element("button", "", "Reply");
    reply.type = "button";
    reply.addEventListener("click", () => {
      replyTo = message.message_id;
      showReply();
      byId("text").focus();
    });
    made.append(reply);
  }
  const topic = groups.get(roomId)?.topics?.find((one) => one.message_thread_id === message.message_thread_id);
  if (topic) made.append(element("span", "", topic.name));
  if (message.deleted) made.append(element("span", "", "deleted"));
  else if (message.edits.length > 0) {
    const mark = element("span", "edited", "edited");
    mark.title = `${message.edits.length} edits`;
    made.append(mark);
  }
  const at = new Date(message.date * 1000);
  made.append(element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })));
  return made;
}

function keys(message) {
  const made = element("div", "keys");
  for (const row of message.keyboard) {
    const line = element("div");
    for (const key of row) {
      const button = element("button", key.style ?? "", key.text);
      button.type = "button";
      button.addEventListener("click", () => guarded(() => press(message, key)));
      line.append(button);
    }
    made.append(line);
  }
  return made;
}

async function press(message, key) {
  if (key.url) {
    if (/^https?:\/\//i.test(key.url)) window.open(key.url, "_blank", "noopener,noreferrer");
    return;
  }
  const { message_id, ephemeral_message_id } = message;
  const body = { bot: botName, chat_id: roomId, message_id, ephemeral_message_id };
  await ask("/control/presses", { ...body, data: key.callback_data, user: writer() });
}

function writer() {
  const person = people.get(groups.has(roomId) ? Number(byId("as").value) : roomId);
  return { id: person.id, first_name: person.first_name, username: person.username ?? null };
}

async function send() {
  const text = byId("text").value;
  if (!text.trim()) return;
  const group = groups.get(roomId);
  const body = { bot: botName, chat_id: roomId, text, user: writer(), reply_to: replyTo };
  if (group) Object.assign(body, { chat_type: group.type, chat_title: group.title });
  const topic = messages.get(replyTo)?.message_thread_id ?? byId("topic").value;
  if (group && topic) body.message_thread_id = Number(topic);
  await ask("/control/messages", body);
  byId("text").value = "";
  replyTo = null;
  showReply();
}

function showReply() {
  const quoted = messages.get(replyTo);
  byId("reply").hidden = !quoted;
  byId("reply-text").textContent = quoted ? `Reply to ${quoted.from.first_name}: ${quoted.text}` : "";
}

function showTyping() {
  hideTyping();
  const made = element("li", "message typing");
  made.setAttribute("aria-label", "typing");
  made.append(element("i"), element("i"), element("i"));
  const list = byId("messages");
  list.append(made);
  list.scrollTop = list.scrollHeight;
  typingTimer = setTimeout(hideTyping, TYPING_MS);
}

// A draft is one growing bubble; it goes when its time is up or the real message comes.
function showDraft(draft) {
  hideTyping();
  hideDraft();
  const made = element("li", "message draft");
  made.append(draft.is_thinking ? element("div", "text", "Thinking…") : textOf(draft));
  const list = byId("messages");
  list.append(made);
  list.scrollTop = list.scrollHeight;
  draftTimer = setTimeout(hideDraft, Math.max(0, draft.expires_at * 1000 - Date.now()));
}

function hideDraft() {
  clearTimeout(draftTimer);
  byId("messages").querySelector(".draft")?.remove();
}

function hideTyping() {
  clearTimeout(typingTimer);
  byId("messages").querySelector(".typing")?.remove();
}

async function changed(event) {
  if (event.bot !== botName) return;
  const isKnownRoom = people.has(event.chat_id) || groups.has(event.chat_id);
  const sender = event.detail.from;
  const isNewcomer = sender && !sender.is_bot && !people.has(sender.id);
  if (!isKnownRoom || isNewcomer || event.detail.service || event.type === "chat") return loadEverything();
  if (event.chat_id !== roomId) {
    if (event.type === "message") unread.add(event.chat_id);
    return showRooms();
  }
  if (["message", "edited", "deleted"].includes(event.type)) {
    if (event.type === "message" && sender.is_bot) {
      hideTyping();
      hideDraft();
    }
    showMessage(event.detail);
  } else if (event.type === "draft") {
    showDraft(event.detail);
  } else if (event.type === "action") {
    if (event.detail.action === "cancel") hideTyping();
    else showTyping();
  } else if (event.type === "reaction") {
    const message = messages.get(event.detail.message_id);
    if (message) showMessage({ ...message, reactions: { ...message.reactions, [event.detail.by]: event.detail.emoji } });
  } else if (event.type === "answered" && event.detail.text) showError(event.detail.text);
  return undefined;
}

function listen() {
  const stream = new EventSource("/control/events");
  const status = byId("status");
  stream.addEventListener("open", () => {
    status.textContent = "live";
    status.className = "live";
    observed(loadEverything);
  });
  stream.addEventListener("error", () => {
    status.textContent = "connecting";
    status.className = "";
  });
  stream.addEventListener("message", (event) => observed(() => changed(JSON.parse(event.data))));
}

function showError(text) {
  byId("error").textContent = text;
  byId("error").hidden = !text;
}

// What the person at the page does replaces an old error; what merely happens does not.
function guarded(action) {
  showError("");
  return observed(action);
}

async function observed(action) {
  try {
    await action();
  } catch (error) {
    showError(error.message);
  }
}

function askName(label, onName) {
  const dialog = byId("ask");
  byId("ask-label").textContent = label;
  byId("ask-value").value = "";
  dialog.returnValue = "cancel";
  dialog.onclose = () => {
    const name = byId("ask-value").value.trim();
    if (dialog.returnValue === "ok" && name) guarded(() => onName(name));
  };
  dialog.showModal();
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(send);
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    guarded(send);
  }
});
byId("reply-cancel").addEventListener("click", () => {
  replyTo = null;
  showReply();
});
byId("as").addEventListener("change", showMessages);
byId("ask-cancel").addEventListener("click", () => byId("ask").close("cancel"));
byId("bot").addEventListener("change", () => {
  botName = byId("bot").value;
  guarded(() => openRoom(roomId));
});
byId("add-person").addEventListener("click", () => askName("Name of the new person", (name) => {
  const id = Math.max(...people.keys()) + 1;
  people.set(id, { id, first_name: name, username: null });
  return openRoom(id);
}));
byId("add-group").addEventListener("click", () => askName("Name of the new group", (title) => {
  const id = Math.min(0, ...[...groups.keys()].filter((one) => one > -1e12)) - 1;
  groups.set(id, { id, title, type: "group", topics: [] });
  return openRoom(id);
}));
listen();
