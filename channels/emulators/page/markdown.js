// A safe reader of the Markdown subsets that Discord and Slack's markdown block show. Builds elements and text
// nodes only. What is not closed, or not known, stays the text it is.
//
// A dialect says what differs: { headings: 1 to 6, hasTables, hasReferences, hasSpoilers,
// mention(token) → name or null }; where there are no spoilers, two underscores are bold and not underlined.

import { element, link } from "/page/dom.js";

// Deeper than anybody reads; a text that is nested without end must not break the page.
const DEPTH_MAX = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const ROW = /^\s*\|.*\|\s*$/;
const RULE = /^ {0,3}(?:---+|___+|\*\*\*+)\s*$/;
const DIVIDER = /^\s*\|?(?:\s*:?-+:?\s*\|)+\s*:?-*:?\s*$/;

export function renderMarkdown(text, dialect) {
  const root = document.createDocumentFragment();
  blocks(root, text.split("\n"), { ...dialect, depth: 0 });
  return root;
}

function blocks(parent, lines, { depth, ...outer }) {
  const dialect = { ...outer, depth: depth + 1 };
  let words = [];
  const finish = () => {
    if (words.some((line) => line.trim())) parent.append(paragraph(words, dialect));
    words = [];
  };
  let at = 0;
  while (at < lines.length) {
    const taken = block(lines, at, dialect);
    if (taken === null) {
      if (lines[at].trim()) words.push(lines[at]);
      else finish();
      at += 1;
    } else {
      finish();
      parent.append(taken.node);
      at = taken.next;
    }
  }
  finish();
}

function block(lines, at, dialect) {
  const line = lines[at];
  if (dialect.depth > DEPTH_MAX) return null;
  if (FENCE.test(line)) return fence(lines, at);
  const heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/.exec(line);
  if (heading && heading[1].length <= dialect.headings) {
    const level = Math.min(heading[1].length + 2, 6); // the page and the column have the first two
    return { node: inlines(element(`h${level}`), heading[2], dialect), next: at + 1 };
  }
  if (QUOTE.test(line)) return quote(lines, at, dialect);
  if (dialect.hasTables && RULE.test(line)) return { node: element("hr"), next: at + 1 };
  if (ITEM.test(line)) return list(lines, at, dialect);
  if (dialect.hasTables && ROW.test(line) && DIVIDER.test(lines[at + 1] ?? "")) return table(lines, at, dialect);
  return null;
}

function paragraph(lines, dialect) {
  return inlines(element("p"), lines.map((line) => line.replace(/ {2,}$/, "")).join("\n"), dialect);
}

function fence(lines, at) {
  const [, mark, language] = FENCE.exec(lines[at]);
  const isEnd = (line) => line.trim().startsWith(mark) && /^[`~]+$/.test(line.trim());
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const node = element("pre", { title: language || null }, lines.slice(at + 1, end).join("\n"));
  return { node, next: end + 1 };
}

function quote(lines, at, dialect) {
  let end = at;
  const inside = [];
  while (end < lines.length && QUOTE.test(lines[end])) {
    inside.push(QUOTE.exec(lines[end])[1]);
    end += 1;
  }
  const node = element("blockquote");
  blocks(node, inside, dialect);
  return { node, next: end };
}

// An item takes what is indented deeper than its mark; that may hold lists of its own.
function list(lines, at, dialect) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const isNumbered = /\d/.test(mark);
  const node = element(isNumbered ? "ol" : "ul", isNumbered ? { start: parseInt(mark, 10) } : {});
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || item[1].length !== indent.length || /\d/.test(item[2]) !== isNumbered) break;
    const inside = [item[3]];
    next += 1;
    const isInside = (line) => line.length - line.trimStart().length > indent.length && line.trim();
    const isGap = (place) => !lines[place].trim() && isInside(lines[place + 1] ?? "");
    while (next < lines.length && (isInside(lines[next]) || isGap(next))) {
      inside.push(lines[next]);
      next += 1;
    }
    const made = element("li");
    blocks(made, dedented(inside), dialect);
    node.append(made);
  }
  return { node, next };
}

function dedented(lines) {
  const rest = lines.slice(1).filter((line) => line.trim());
  const depth = Math.min(...rest.map((line) => line.length - line.trimStart().length), 99);
  return [lines[0], ...lines.slice(1).map((line) => line.slice(depth))];
}

function table(lines, at, dialect) {
  const cells = (line) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split(/(?<!\\)\|/);
  const row = (line, name) =>
    element(
      "tr",
      {},
      ...cells(line).map((cell) => inlines(element(name), cell.trim().replaceAll("\\|", "|"), dialect)),
    );
  let end = at + 2;
  while (end < lines.length && ROW.test(lines[end])) end += 1;
  const node = element(
    "table",
    {},
    element("thead", {}, row(lines[at], "th")),
    element("tbody", {}, ...lines.slice(at + 2, end).map((line) => row(line, "td"))),
  );
  return { node: element("div", { class: "table" }, node), next: end };
}

// -- within a line ---------------------------------------------------------------------------------------------

const REFERENCES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const PAIRS = [
  ["***", "strong"],
  ["**", "strong"],
  ["__", "u"],
  ["~~", "s"],
  ["||", "spoiler"],
  ["*", "em"],
  ["_", "em"],
];

// `dead` are the marks that close nowhere in the rest of this text: they are looked for once.
function inlines(parent, text, { depth, ...outer }) {
  const dialect = { ...outer, depth: depth + 1, dead: new Set() };
  if (depth > DEPTH_MAX) {
    parent.append(text);
    return parent;
  }
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const found = span(text, at, dialect) ?? { node: text[at], next: at + 1 };
    if (typeof found.node === "string") plain += found.node;
    else {
      parent.append(plain, found.node);
      plain = "";
    }
    at = found.next;
  }
  parent.append(plain);
  return parent;
}

function span(text, at, dialect) {
  const rest = text.slice(at);
  if (rest[0] === "\\" && /^\\[!-/:-@[-`{-~]/.test(rest)) return { node: rest[1], next: at + 2 };
  if (rest[0] === "`") return code(rest, at);
  if (rest[0] === "&" && dialect.hasReferences) {
    const reference = /^&(\w{2,6});/.exec(rest);
    if (reference && REFERENCES[reference[1]])
      return { node: REFERENCES[reference[1]], next: at + reference[0].length };
  }
  if (rest[0] === "<") return angle(rest, at, dialect);
  if (rest[0] === "[") return labelled(rest, at, dialect);
  if (rest[0] === "h") {
    const address = /^https?:\/\/[^\s<>()*_~|]+[^\s<>()*_~|.,:;!?'"]/.exec(rest);
    const isInWord = /\w/.test(text[at - 1] ?? "");
    return address && !isInWord ? { node: link(address[0], address[0]), next: at + address[0].length } : null;
  }
  return pair(text, at, dialect);
}

function code(rest, at) {
  const mark = /^`+/.exec(rest)[0];
  let end = rest.indexOf(mark, mark.length);
  while (end >= 0 && rest[end + mark.length] === "`") end = rest.indexOf(mark, end + mark.length + 1);
  if (end < 0) return { node: mark, next: at + mark.length };
  const inside = rest.slice(mark.length, end);
  const isPadded = /^ .*[^ ].* $/s.test(inside) || /^ `.*` $/s.test(inside);
  return { node: element("code", {}, isPadded ? inside.slice(1, -1) : inside), next: at + end + mark.length };
}

function angle(rest, at, dialect) {
  const address = /^<(https?:\/\/[^\s<>]+)>/.exec(rest);
  if (address) return { node: link(address[1], address[1]), next: at + address[0].length };
  const token = /^<([@#!][^\s<>]{1,60})>/.exec(rest);
  const name = token && dialect.mention(token[1]);
  return name ? { node: element("span", { class: "mention" }, name), next: at + token[0].length } : null;
}

function labelled(rest, at, dialect) {
  const found = /^\[((?:\\.|[^\]\\\n])+)\]\(<?((?:\\.|[^\s<>()]|\([^\s<>()]*\))+)>?\)/.exec(rest);
  if (!found) return null;
  return { node: inlines(link(found[2].replace(/\\(.)/g, "$1")), found[1], dialect), next: at + found[0].length };
}

function pair(text, at, dialect) {
  for (const [mark, name] of PAIRS) {
    if (!text.startsWith(mark, at)) continue;
    if (mark === "||" && !dialect.hasSpoilers) continue;
    if (dialect.dead.has(mark) || /\s/.test(text[at + mark.length] ?? " ")) continue;
    const end = closing(text, at + mark.length, mark);
    if (end < 0) {
      dialect.dead.add(mark);
      continue;
    }
    const isWord = mark[0] === "_" && (/\w/.test(text[at - 1] ?? "") || /\w/.test(text[end + mark.length] ?? ""));
    if (isWord) continue;
    const tag = mark === "__" && !dialect.hasSpoilers ? "strong" : name;
    const made = tag === "spoiler" ? element("span", { class: "spoiler", tabindex: "0" }) : element(tag);
    const target = mark === "***" ? made.appendChild(element("em")) : made;
    inlines(target, text.slice(at + mark.length, end), dialect);
    return { node: made, next: end + mark.length };
  }
  return null;
}

// Where a mark closes: not after a space, not escaped, not within code; -1 when nowhere.
function closing(text, from, mark) {
  let at = from;
  while (at < text.length) {
    if (text[at] === "\\") at += 2;
    else if (text[at] === "`") at = code(text.slice(at), at).next;
    else if (
      text.startsWith(mark, at) &&
      at > from &&
      !/\s/.test(text[at - 1]) &&
      !(mark.length === 1 && text[at + 1] === mark)
    )
      return at;
    else if (mark.length === 1 && text.startsWith(mark + mark, at)) at += 2;
    else at += 1;
  }
  return -1;
}
