// Slack's blocks, rich text and mrkdwn as elements. Builds elements and text nodes only.

import { element, link } from "/page/dom.js";
import { renderMarkdown } from "/page/markdown.js";

const EMOJI = {
  eyes: "👀",
  white_check_mark: "✅",
  warning: "⚠️",
  "+1": "👍",
  thumbsup: "👍",
  "-1": "👎",
  heart: "❤️",
  tada: "🎉",
  x: "❌",
  hourglass: "⏳",
  wave: "👋",
  fire: "🔥",
};

export function emoji(name) {
  return EMOJI[name] ?? `:${name}:`;
}

// `names` tells who is meant by an id.
export function renderBlocks(blocks, names) {
  const root = document.createDocumentFragment();
  for (const block of blocks) root.append(BLOCKS[block.type]?.(block, names) ?? "");
  return root;
}

const BLOCKS = {
  markdown: (block, names) =>
    renderMarkdown(block.text, {
      headings: 6,
      hasTables: true,
      hasReferences: true,
      hasSpoilers: false,
      mention: (token) => mention(token, names),
    }),
  header: (block) => element("h3", {}, block.text.text),
  divider: () => element("hr"),
  section: (block, names) =>
    element(
      "div",
      { class: "section" },
      ...[block.text, ...(block.fields ?? [])].filter(Boolean).map((text) => textObject(text, names)),
    ),
  context: (block, names) =>
    element(
      "div",
      { class: "context-block" },
      ...block.elements.filter((one) => one.text).map((one) => textObject(one, names)),
    ),
  rich_text: (block, names) => element("div", {}, ...block.elements.map((one) => richBlock(one, names))),
  image: (block) => link(block.image_url ?? "", block.alt_text ?? "image"),
  task_card: (block) =>
    element(
      "div",
      { class: "task", "data-state": block.status },
      block.title,
      block.details ? `: ${block.details}` : "",
    ),
  plan: (block) => element("div", { class: "task" }, block.title),
};

export function textObject(text, names) {
  if (text.type === "plain_text") return element("div", {}, text.text);
  const made = element("div");
  made.append(renderMrkdwn(text.text, names));
  return made;
}

function mention(token, names) {
  if (token[0] === "@") return `@${names.get(token.slice(1).split("|")[0]) ?? token.slice(1)}`;
  if (token[0] === "#") return `#${token.split("|")[1] ?? token.slice(1)}`;
  return `@${token.slice(1).split("|")[0]}`;
}

// -- rich text -------------------------------------------------------------------------------------------------

function richBlock(block, names) {
  if (block.type === "rich_text_list") {
    const name = block.style === "ordered" ? "ol" : "ul";
    return element(name, {}, ...block.elements.map((one) => element("li", {}, richBlock(one, names))));
  }
  const name = { rich_text_preformatted: "pre", rich_text_quote: "blockquote" }[block.type] ?? "div";
  return element(name, {}, ...(block.elements ?? []).map((one) => richElement(one, names)));
}

function richElement(one, names) {
  if (one.type === "link") return link(one.url, one.text || one.url);
  if (one.type === "emoji") return emoji(one.name);
  if (one.type === "user")
    return element("span", { class: "mention" }, `@${names.get(one.user_id) ?? one.user_id}`);
  if (one.type === "channel")
    return element("span", { class: "mention" }, `#${names.get(one.channel_id) ?? one.channel_id}`);
  if (one.type === "broadcast") return element("span", { class: "mention" }, `@${one.range}`);
  let node = document.createTextNode(one.text ?? "");
  const tags = { bold: "strong", italic: "em", strike: "s", code: "code" };
  for (const [style, tag] of Object.entries(tags)) if (one.style?.[style]) node = element(tag, {}, node);
  return node;
}

// -- mrkdwn ----------------------------------------------------------------------------------------------------

const TOKEN =
  /```([\s\S]+?)```|`([^`\n]+)`|<([^<>\s]+?)(?:\|([^<>]*))?>|(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])|(?<![\w_])_(\S(?:[^_\n]*\S)?)_(?![\w_])|(?<![\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])|:([a-z0-9_+-]+):/g;

export function renderMrkdwn(text, names) {
  const root = document.createDocumentFragment();
  let quoted = null;
  for (const part of text.split(/(```[\s\S]+?```)/)) {
    for (const line of part.startsWith("```") ? [part] : part.split(/(?<=\n)/)) {
      const quote = /^(?:&gt;|>) ?(.*)$/s.exec(line);
      if (quote) {
        quoted ??= root.appendChild(element("blockquote"));
        inline(quoted, quote[1], names);
      } else {
        quoted = null;
        inline(root, line, names);
      }
    }
  }
  return root;
}

function inline(parent, text, names) {
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    parent.append(plain(text.slice(at, match.index)), token(match, names));
    at = match.index + match[0].length;
  }
  parent.append(plain(text.slice(at)));
}

function token([all, fence, code, target, label, bold, italic, strike, name], names) {
  if (fence) return element("pre", {}, plain(fence.replace(/^\n|\n$/g, "")));
  if (code) return element("code", {}, plain(code));
  if (target && /^[@#!]/.test(target))
    return element("span", { class: "mention" }, mention(label ? `${target}|${label}` : target, names));
  if (target) return link(plain(target), plain(label || target));
  if (name) return EMOJI[name] ?? all;
  const made = element(bold ? "strong" : italic ? "em" : "s");
  inline(made, bold ?? italic ?? strike, names);
  return made;
}

function plain(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
