// The control side of one emulator: JSON in, JSON out.

export class Control {
  constructor(path) {
    this.path = path;
  }

  get(path) {
    return this.#ask(path, {});
  }

  post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.#ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  clear(path) {
    return this.#ask(path, { method: "DELETE" });
  }

  address(path) {
    return `${this.path}/${path}`;
  }

  // Raises Error with what the emulator says.
  async #ask(path, how) {
    const response = await fetch(this.address(path), how);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error ?? `error ${response.status}`);
    return answer;
  }
}
