// Making things go wrong, and watching how the gateway copes: scripted faults, broken connections, the last calls.

import { button, element, options } from "/page/dom.js";

const LOOK_MS = 1000;
const CALLS_SHOWN = 12;
const FAULTS = [
  ["429, wait 3 s", { kind: "429", retry_after_s: 3 }],
  ["Done, then cut", { kind: "commit_then_drop" }],
  ["Slow, 5 s", { kind: "slow", delay_s: 5 }],
  ["Refuse", { kind: "refuse" }],
  ["Error 500", { kind: "error", code: 500 }],
];

export class FaultPanel {
  #timer = null;

  constructor(column) {
    this.column = column;
    const { network } = column;
    this.method = element("select", { "aria-label": "Which calls fail" });
    options(
      this.method,
      network.faultMethods.map(([label, method]) => [method, label]),
    );
    this.count = element("input", {
      type: "number",
      min: 1,
      max: 99,
      value: 1,
      "aria-label": "How many calls fail",
    });
    this.pending = element("p", { class: "pending", "aria-live": "polite" });
    this.calls = element("tbody");
    this.node = element(
      "details",
      { class: "faults", ontoggle: () => this.#toggle() },
      element("summary", {}, "Make it fail"),
      element("div", { class: "which" }, element("label", {}, "the next ", this.count), this.method),
      element("div", { class: "kinds" }, ...FAULTS.map(([label, fault]) => button(label, () => this.#add(fault)))),
      element(
        "div",
        { class: "kinds" },
        ...network.troubles.map(([label, act]) => button(label, () => this.#act(act))),
      ),
      this.pending,
      element("table", { "aria-label": "The last calls of the gateway" }, this.calls),
    );
  }

  #add(fault) {
    const body = { ...fault, count: Number(this.count.value) };
    if (this.method.value) body.method = this.method.value;
    return this.#act(() => this.column.network.control.post("faults", body));
  }

  #act(act) {
    return this.column.observed(async () => {
      await act();
      await this.#look();
    });
  }

  #toggle() {
    clearInterval(this.#timer);
    if (!this.node.open) return;
    this.#timer = setInterval(() => this.column.observed(() => this.#look()), LOOK_MS);
    this.column.observed(() => this.#look());
  }

  async #look() {
    const { network } = this.column;
    const [faults, calls, connection] = await Promise.all([
      network.control.get("faults"),
      network.control.get("calls"),
      network.connection(),
    ]);
    const waiting = faults.map((one) => `${one.count} × ${one.kind}${one.method ? ` on ${one.method}` : ""}`);
    this.pending.replaceChildren(`${connection}. To fail: ${waiting.join(", ") || "nothing"}. `);
    if (waiting.length > 0)
      this.pending.append(button("Forget", () => this.#act(() => network.control.clear("faults"))));
    this.calls.replaceChildren(...calls.slice(-CALLS_SHOWN).reverse().map(callRow));
  }
}

function callRow(call) {
  const at = new Date(call.at * 1000).toLocaleTimeString([], { hourCycle: "h23" });
  const outcome = call.fault ?? call.status ?? "…";
  const isBad = call.fault || call.status >= 400;
  return element(
    "tr",
    { class: isBad ? "bad" : null },
    element("td", {}, at),
    element("td", { title: call.description }, call.method),
    element("td", {}, String(outcome)),
  );
}
