// Turns a text with entities into DOM nodes. Builds elements and text nodes only: nothing from a message is
// ever parsed as HTML. JavaScript counts text in UTF-16 units, as the entities do.

import { link } from "/page/dom.js";

const ELEMENTS = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  pre: "pre",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};

export function renderText(text, entities) {
  const root = document.createDocumentFragment();
  renderRange(root, text, 0, text.length, [...entities]);
  return root;
}

// Entities come outer first, so the first one that starts here contains those that follow inside it.
function renderRange(parent, text, start, end, entities) {
  let at = start;
  while (entities.length > 0) {
    const entity = entities[0];
    if (entity.offset >= end) break;
    entities.shift();
    const from = Math.max(entity.offset, at);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) continue;
    parent.append(text.slice(at, from));
    const element = elementFor(entity, text.slice(from, to));
    const inner = [];
    while (entities.length > 0 && entities[0].offset < to) inner.push(entities.shift());
    renderRange(element, text, from, to, inner);
    parent.append(element);
    at = to;
    // A block ends its line by itself; the newline after it would show as an empty one.
    if (["PRE", "BLOCKQUOTE"].includes(element.tagName) && text[at] === "\n") at += 1;
  }
  parent.append(text.slice(at, end));
}

function elementFor(entity, covered) {
  if (entity.type === "text_link" || entity.type === "url") {
    return link(entity.type === "url" ? covered : entity.url);
  }
  const element = document.createElement(ELEMENTS[entity.type] ?? "span");
  if (entity.type === "spoiler") element.className = "spoiler";
  else if (!(entity.type in ELEMENTS)) element.className = "mark";
  if (entity.type === "pre" && entity.language) element.title = entity.language;
  return element;
}
