// The page: one column for each network, tabs when there is room for one only, one stream of changes for all.

import { Column } from "/page/column.js";
import { Control } from "/page/control.js";
import { button } from "/page/dom.js";
import { NETWORKS } from "/page/networks.js";

const settings = await (await fetch("/page/settings.json")).json();
const columns = settings.networks.map(
  ({ kind, control }) => new Column(kind, NETWORKS[kind](new Control(control))),
);

function show(chosen) {
  for (const column of columns) {
    const isChosen = column === chosen;
    column.node.toggleAttribute("data-current", isChosen);
    column.tab.setAttribute("aria-selected", String(isChosen));
    column.tab.tabIndex = isChosen ? 0 : -1;
  }
}

function addTabs() {
  for (const column of columns) {
    column.tab = button(column.network.title, () => show(column), {
      role: "tab",
      "aria-controls": column.node.id,
    });
  }
  const tabs = document.getElementById("tabs");
  tabs.append(...columns.map((column) => column.tab));
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = columns.findIndex((column) => column.tab === document.activeElement);
    const next = columns[(at + step + columns.length) % columns.length];
    show(next);
    next.tab.focus();
  });
}

function listen() {
  const status = document.getElementById("status");
  const stream = new EventSource(settings.events);
  const say = (text) => {
    status.textContent = text;
    status.className = text;
  };
  stream.addEventListener("open", () => {
    say("live");
    columns.forEach((column) => column.reload());
  });
  stream.addEventListener("error", () => say("connecting"));
  for (const column of columns) {
    const name = columns.length > 1 ? column.kind : "message";
    stream.addEventListener(name, (event) => column.changed(JSON.parse(event.data)));
  }
}

document.getElementById("columns").append(...columns.map((column) => column.node));
document.body.dataset.columns = columns.length;
document.title = columns.length > 1 ? document.title : `${columns[0].network.title} emulator`;
document.querySelector("h1").textContent = columns.length > 1 ? "Playground" : document.title;
addTabs();
show(columns[0]);
listen();
