// How the line to the gateway is: nothing while it is well, a bar when it is not.
import { h, icon, replace } from "../dom.js";

const GRACE_MS = 400; // a blink is not worth a word

export class LineState {
    element = h("div", { class: "line-state", role: "status", "aria-live": "polite" });
    #connection;
    #timer = 0;
    #grace = 0;
    #down = false;

    constructor(connection) {
        this.#connection = connection;
        connection.on("phase", () => this.#update());
        addEventListener("offline", () => this.#update());
        addEventListener("online", () => this.#update());
    }

    #update() {
        const { phase } = this.#connection;
        if (phase === "open") {
            clearInterval(this.#timer);
            clearTimeout(this.#grace);
            this.#timer = this.#grace = 0;
            this.#down = false;
            replace(this.element);
        } else if (this.#down) {
            this.#show();
        } else if (!this.#grace) {
            this.#grace = setTimeout(() => (this.#down = true, this.#show()), GRACE_MS);
        }
    }

    #show() {
        const seconds = Math.ceil((this.#connection.retryAt - Date.now()) / 1000);
        const waiting = this.#connection.phase === "waiting";
        replace(this.element, h("div", { class: "bar" }, icon("offline"),
            h("span", null, navigator.onLine ? "The gateway does not answer." : "This computer is offline.", " What you write is kept and sent when it is back."),
            h("span", { class: "when", "aria-hidden": "true" }, waiting && seconds > 0 ? `Trying again in ${seconds} s` : "Trying …"),
            h("button", { type: "button", class: "button small", on: { click: () => this.#connection.hurry() } }, "Try now")));
        this.#timer ||= setInterval(() => this.#tick(), 1000);
    }

    // Only the countdown changes, so that nothing is read out again.
    #tick() {
        const when = this.element.querySelector(".when");
        const seconds = Math.ceil((this.#connection.retryAt - Date.now()) / 1000);
        if (when) when.textContent = this.#connection.phase === "waiting" && seconds > 0 ? `Trying again in ${seconds} s` : "Trying …";
    }
}
