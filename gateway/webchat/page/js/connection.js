// The WebSocket to the gateway that served this page (never another one), speaking protocol 4. Keeps itself
// alive: backoff with jitter, a watchdog, a probe when the browser says that something changed.
//
// phase: idle → connecting → open; then waiting (retries by itself), pairing (asks again until an operator
// approves) or refused (somebody has to do something). Emits "phase", "open" (hello), "lost", "gap" and
// "event" (name, payload); requests that were on the way when the line broke fail with error.lost.
import { Emitter } from "./emitter.js";
import { bytes } from "./format.js";
import { clientInfo } from "./platform.js";

const BACKOFF_FIRST_MS = 500, BACKOFF_FACTOR = 1.7, BACKOFF_MAX_MS = 15_000;
const PAIRING_EVERY_MS = 3_000;
const CONNECT_MS = 15_000, REQUEST_MS = 30_000, PROBE_MS = 4_000;
const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.questions", "operator.pairing"];
const CAPS = ["tool-events", "approvals", "exec-approvals", "session-scoped-events"];
// What no retry will change.
const FINAL = /^(AUTH_|DEVICE_|CONTROL_UI_|PROTOCOL_MISMATCH)/;

export class GatewayError extends Error {
    constructor({ message, code, details, retryable, retryAfterMs, payload, lost = false }) {
        super(message);
        Object.assign(this, { code, details, retryable, retryAfterMs, payload, lost });
    }

    get unknownMethod() {
        return this.message.startsWith("unknown method");
    }
}

export class Connection extends Emitter {
    phase = "idle";
    hello = null;
    error = null; // GatewayError of the last refusal
    retryAt = 0; // when waiting
    #identity;
    #credential = null;
    #socket = null;
    #waiting = new Map();
    #next = 0;
    #attempt = 0;
    #timers = new Map();
    #seq = 0;
    #heard = 0;
    #methods = new Set();

    constructor(identity) {
        super();
        this.#identity = identity;
        addEventListener("online", () => this.hurry());
        addEventListener("offline", () => this.probe());
        addEventListener("pageshow", (event) => event.persisted && this.hurry());
        document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
    }

    // credential: {token} | {bootstrapToken} | {deviceToken}; kept in memory until the device has its own.
    start(credential) {
        this.#credential = credential;
        this.#attempt = 0;
        this.#open();
    }

    stop() {
        this.#credential = null;
        this.#clear("retry");
        this.#drop("signed out");
        this.#become("idle");
    }

    // Retry now instead of later; when open, find out whether that is still true.
    hurry() {
        if (this.phase === "open") this.probe();
        else if (this.phase === "waiting" || this.phase === "pairing") this.#open();
    }

    has(method) {
        return this.#methods.has(method);
    }

    may(scope) {
        const scopes = this.hello?.auth?.scopes ?? [];
        return scopes.includes("operator.admin") || scopes.includes(`operator.${scope}`) || (scope === "read" && scopes.includes("operator.write"));
    }

    request(method, params = {}, { timeoutMs = REQUEST_MS } = {}) {
        if (this.phase !== "open") return Promise.reject(new GatewayError({ message: "not connected", lost: true }));
        return this.#ask(method, params, timeoutMs);
    }

    // Is anybody there? Silence ends the socket, and the usual retries begin.
    probe() {
        if (this.phase !== "open" || this.#timers.has("probe")) return;
        const before = this.#heard;
        this.#timer("probe", PROBE_MS, () => this.#heard === before && this.#drop("no answer"));
        this.#ask("health", {}, PROBE_MS).catch(() => {});
    }

    // ---- a life of the socket ----

    #open() {
        this.#drop("again");
        this.#clear("retry");
        // Where the page came from; a proxy may have put it below a path.
        const { protocol, host, pathname } = location;
        const socket = new WebSocket(`${protocol === "https:" ? "wss" : "ws"}://${host}${pathname}`);
        this.#socket = socket;
        this.#seq = 0;
        this.#become("connecting");
        this.#timer("connect", CONNECT_MS, () => this.#drop("the gateway does not answer"));
        socket.onmessage = ({ data }) => socket === this.#socket && this.#take(data);
        socket.onclose = ({ code, reason }) => socket === this.#socket && this.#closed(code, reason);
    }

    #drop(reason) {
        const socket = this.#socket;
        if (!socket) return;
        socket.onmessage = socket.onclose = null;
        socket.close(reason === "signed out" ? 1000 : 4000, reason);
        this.#closed(4000, reason);
    }

    #closed(code, reason) {
        this.#socket = null;
        for (const name of ["connect", "watch", "probe"]) this.#clear(name);
        for (const { fail } of this.#waiting.values()) fail(new GatewayError({ message: reason || "the connection was lost", lost: true }));
        this.#waiting.clear();
        const was = this.phase;
        if (was === "open") this.emit("lost", code, reason);
        if (was === "connecting" || was === "open") this.#retryLater(code);
    }

    #retryLater(code) {
        const base = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * BACKOFF_FACTOR ** this.#attempt++);
        const delay = code === 1012 || code === 1013 ? 400 + Math.random() * 400 : base * (0.5 + Math.random() / 2);
        this.#again("waiting", Math.max(delay, this.error?.retryAfterMs ?? 0));
    }

    #again(phase, delay) {
        this.retryAt = Date.now() + delay;
        this.#become(phase);
        this.#timer("retry", delay, () => this.#open());
    }

    #take(text) {
        this.#heard++;
        this.#watch();
        let frame;
        try {
            frame = JSON.parse(text);
        } catch {
            return;
        }
        if (frame.type === "res") this.#answered(frame);
        else if (frame.type === "event") this.#event(frame);
    }

    #watch() {
        if (this.phase !== "open") return;
        this.#timer("watch", 2 * Math.max(1000, this.hello.policy?.tickIntervalMs ?? 30_000), () => this.#drop("tick timeout"));
    }

    #event({ event, payload = {}, seq }) {
        if (event === "connect.challenge") {
            this.#connect(payload);
            return;
        }
        if (this.phase !== "open") return;
        if (typeof seq === "number") {
            const gap = this.#seq && seq > this.#seq + 1;
            this.#seq = seq;
            if (gap) this.emit("gap");
        }
        this.emit("event", event, payload);
    }

    // ---- requests ----

    #ask(method, params, timeoutMs) {
        return new Promise((done, fail) => {
            const id = `w${++this.#next}`;
            const late = setTimeout(() => {
                this.#waiting.delete(id);
                fail(new GatewayError({ message: `the gateway did not answer ${method} within ${Math.round(timeoutMs / 1000)} seconds`, code: "TIMEOUT", lost: true }));
                this.probe();
            }, timeoutMs);
            const end = (fn) => (value) => (clearTimeout(late), fn(value));
            const text = JSON.stringify({ type: "req", id, method, params });
            const size = text.length > 100_000 ? new Blob([text]).size : 0, most = this.hello?.policy?.maxPayload ?? Infinity;
            if (size > most) {
                clearTimeout(late);
                fail(new GatewayError({ message: `this has ${bytes(size)}, and the gateway takes ${bytes(most)} at once`, code: "TOO_LARGE" }));
                return;
            }
            this.#waiting.set(id, { done: end(done), fail: end(fail) });
            this.#socket.send(text);
        });
    }

    #answered({ id, ok, payload, error }) {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (ok) waiting?.done(payload);
        else waiting?.fail(new GatewayError({ message: "the gateway gave no reason", ...error, payload }));
    }

    // ---- the handshake ----

    async #connect(challenge) {
        const socket = this.#socket, credential = this.#credential;
        const params = {
            minProtocol: 4, maxProtocol: 4, client: clientInfo(), caps: CAPS, role: "operator", scopes: SCOPES,
            locale: navigator.language, userAgent: navigator.userAgent.slice(0, 256), auth: credential,
        };
        try {
            params.device = await this.#identity.sign(params, challenge);
            if (socket !== this.#socket) return;
            const hello = await this.#ask("connect", params, CONNECT_MS);
            if (socket === this.#socket) await this.#welcome(hello);
        } catch (error) {
            if (socket === this.#socket) this.#refused(error);
        }
    }

    async #welcome(hello) {
        const { deviceToken } = hello.auth ?? {};
        this.#clear("connect");
        this.#attempt = 0;
        this.error = null;
        this.hello = hello;
        this.#methods = new Set(hello.features?.methods ?? []);
        this.#become("open");
        this.#watch();
        this.emit("open", hello);
        if (!deviceToken) return;
        this.#credential = { deviceToken };
        await this.#identity.keepToken(deviceToken).catch((error) => this.emit("notKept", error));
    }

    #refused(error) {
        const code = error.details?.code;
        this.error = error;
        if (error.lost) return; // the close tells the rest
        // A link that was used before must not lock out a browser that knows its way.
        if (code === "AUTH_BOOTSTRAP_TOKEN_INVALID" && this.#identity.token) {
            this.#credential = { deviceToken: this.#identity.token };
            this.#leave();
            this.#open();
        } else if (code === "PAIRING_REQUIRED") {
            this.#leave();
            this.#again("pairing", PAIRING_EVERY_MS);
        } else if (FINAL.test(code ?? "") || error.code === "INVALID_REQUEST") {
            this.#leave();
            this.#become("refused");
        } else {
            this.#leave();
            this.#retryLater(0);
        }
    }

    // Without the retries of a loss.
    #leave() {
        const socket = this.#socket;
        this.#socket = null;
        this.#clear("connect");
        if (!socket) return;
        socket.onmessage = socket.onclose = null;
        socket.close(1000);
    }

    // ---- small things ----

    #become(phase) {
        if (phase === this.phase && phase !== "waiting" && phase !== "pairing") return;
        this.phase = phase;
        this.emit("phase", phase);
    }

    #timer(name, ms, fn) {
        this.#clear(name);
        this.#timers.set(name, setTimeout(() => (this.#timers.delete(name), fn()), ms));
    }

    #clear(name) {
        clearTimeout(this.#timers.get(name));
        this.#timers.delete(name);
    }
}
