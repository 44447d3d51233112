// Before the page may be used: the token once, waiting for an approval, or why it cannot be.
import { h, icon, replace } from "../dom.js";
import { copyText } from "../clipboard.js";

const port = location.port || (location.protocol === "https:" ? "443" : "80");

// What the gateway's refusals mean for the person in front of the page.
const REFUSALS = {
    AUTH_TOKEN_MISMATCH: "That is not this gateway's token. It stands at the host in the state folder (identity/token) or in the configuration; simpler is a sign-in link: culvert webchat.",
    AUTH_TOKEN_MISSING: "This gateway asks for its token.",
    AUTH_PASSWORD_MISSING: "This gateway asks for its password.",
    AUTH_PASSWORD_MISMATCH: "That is not this gateway's password.",
    AUTH_BOOTSTRAP_TOKEN_INVALID: "This sign-in link was used already or is older than ten minutes. Run culvert webchat at the host for a fresh one.",
    AUTH_DEVICE_TOKEN_MISMATCH: "This browser's access was revoked or renewed. Sign in once more.",
    AUTH_SCOPE_MISMATCH: "This browser was given fewer rights than the page needs. Sign in once more, or approve it again at the host.",
    AUTH_RATE_LIMITED: "Too many attempts with a wrong token. Wait a minute, then try again.",
    DEVICE_AUTH_SIGNATURE_EXPIRED: "This computer's clock differs from the gateway's by more than two minutes. Set it right, then try again.",
    CONTROL_UI_ORIGIN_NOT_ALLOWED: "The gateway does not know this address as its own. Open the page under the address it listens on, or add this one to gateway.controlUi.allowedOrigins.",
    PROTOCOL_MISMATCH: "This page and the gateway are of different versions. Reload the page.",
};

export class SignIn {
    element;
    #connection;
    #identity;
    #card = h("div", { class: "card" });
    #shown = null;

    constructor(connection, identity) {
        this.#connection = connection;
        this.#identity = identity;
        this.element = frame(this.#card);
    }

    update() {
        const { phase, error } = this.#connection;
        const view = phase === "pairing" ? "pairing" : phase === "refused" || phase === "idle" ? "form" : "wait";
        const state = `${view} ${error?.details?.requestId ?? error?.message ?? ""} ${view === "wait" ? phase : ""}`;
        if (state === this.#shown) return;
        this.#shown = state;
        if (view === "pairing") replace(this.#card, this.#pairing(error));
        else if (view === "form") replace(this.#card, this.#form(error));
        else replace(this.#card, this.#wait(phase));
        this.#card.querySelector("input")?.focus();
    }

    #wait(phase) {
        return h("div", { class: "calm", role: "status" }, h("span", { class: "dot busy" }),
            phase === "waiting" ? "The gateway does not answer. Trying again …" : "Connecting …");
    }

    #form(error) {
        const input = h("input", { class: "input", id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-hint" });
        const submit = (event) => {
            event.preventDefault();
            const token = input.value.trim();
            if (token) this.#connection.start({ token });
        };
        return [
            h("h1", null, "Sign in to your gateway"),
            error && h("div", { class: "note bad", role: "alert" }, icon("warn"), h("div", null, REFUSALS[error.details?.code] ?? `The gateway said: ${error.message}`)),
            h("form", { class: "stack", on: { submit } },
                h("div", { class: "field" },
                    h("label", { for: "token" }, "Gateway token"),
                    input,
                    h("p", { class: "hint", id: "token-hint" }, "Used once to make this browser a device of its own. The token itself is not kept.")),
                h("button", { type: "submit", class: "button main" }, "Sign in")),
            h("p", { class: "or" }, "or open a sign-in link, made at the host by"),
            commandLine("culvert webchat"),
        ];
    }

    #pairing(error) {
        const { requestId, reason } = error.details;
        return [
            h("h1", null, "Waiting for approval"),
            h("p", null, reason === "not-paired" ? "The gateway does not know this browser yet." : "This browser asks for more than it was given.",
                " Approve it at the host, or from a browser that is signed in. This page goes on by itself."),
            commandLine(`culvert devices approve ${requestId}`),
            h("dl", { class: "facts" },
                h("dt", null, "Request"), h("dd", null, h("code", null, requestId)),
                h("dt", null, "This device"), h("dd", null, h("code", null, this.#identity.deviceId.slice(0, 16), "…"))),
            h("div", { class: "calm", role: "status" }, h("span", { class: "dot busy" }), "Asking again every few seconds …"),
            h("button", { type: "button", class: "button", on: { click: () => this.#connection.stop() } }, "Cancel"),
        ];
    }
}

const TUNNEL_PORT = 18789; // where `culvert tunnel up` listens

const CANNOT = {
    insecure: () => [
        h("h1", null, "This address is not secure"),
        h("p", null, "Over plain http a browser gives a page no keys, and without one nobody could tell this browser from another. Reach the gateway in one of these ways:"),
        h("ol", { class: "ways" },
            h("li", null, h("strong", null, "Through a tunnel"), " from this computer, then open ", h("code", null, `http://127.0.0.1:${TUNNEL_PORT}/`), commandLine(`culvert tunnel up ${location.hostname}`)),
            h("li", null, h("strong", null, "With ssh"), ", then open ", h("code", null, `http://127.0.0.1:${port}/`), commandLine(`ssh -N -L ${port}:127.0.0.1:${port} ${location.hostname}`)),
            h("li", null, h("strong", null, "With https"), ": give the gateway a certificate, or put a proxy that has one before it.")),
    ],
    old: () => [
        h("h1", null, "This browser is too old"),
        h("p", null, "It cannot make Ed25519 keys. Chrome and Edge can from version 137, Firefox from 130, Safari from 17."),
    ],
    storage: (error) => [
        h("h1", null, "This browser keeps nothing"),
        h("p", null, "WebChat keeps its key in the browser's storage (IndexedDB), which is blocked here. Allow site data for this address, or leave private browsing."),
        error && h("p", { class: "hint" }, String(error.message ?? error)),
    ],
};

export function cannotSignIn(why, error) {
    return frame(h("div", { class: "card" }, CANNOT[why](error)));
}

function frame(card) {
    return h("div", { class: "gate" },
        h("header", { class: "brand" }, icon("arch"), "Culvert"),
        h("main", null, card),
        h("footer", null, location.host));
}

export function commandLine(text) {
    return h("div", { class: "command" }, h("code", { tabindex: 0 }, text),
        h("button", { type: "button", class: "button plain small square", "aria-label": "Copy this command", title: "Copy", on: { click: (event) => copyText(text, event.currentTarget) } }, icon("copy")));
}
