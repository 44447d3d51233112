// What the signed-in page knows, kept current by the gateway's events; the views read it and are told when it
// changes: "sessions", "approvals", "pairing", "presence", "health", "route", "open", "events".
import { Emitter } from "./emitter.js";
import { Conversation } from "./conversation.js";
import { Outbox } from "./outbox.js";
import { Sessions } from "./sessions.js";

const EVENTS_KEPT = 500;
const CONVERSATIONS_KEPT = 12;

export class App extends Emitter {
    approvals = new Map(); // id → {id, request, createdAtMs, expiresAtMs}
    pairing = new Map(); // requestId → pending device request
    presence = [];
    health = null;
    defaults = {};
    models = [];
    commands = [];
    agents = [];
    events = []; // newest last: {at, event, payload}
    #conversations = new Map();
    #subscribed = null;
    #opened = 0;

    constructor(connection) {
        super();
        this.connection = connection;
        this.sessions = new Sessions(connection);
        this.sessions.on("change", () => this.emit("sessions"));
        const conversationOf = (key) => this.conversation(key);
        conversationOf.all = () => this.#conversations.values();
        this.outbox = new Outbox(connection, conversationOf);
        connection.on("event", (event, payload) => this.#onEvent(event, payload));
        connection.on("open", (hello) => this.#onOpen(hello));
        connection.on("gap", () => this.resync());
    }

    get currentKey() {
        return this.#subscribed;
    }

    conversation(key) {
        let found = this.#conversations.get(key);
        if (!found) {
            found = new Conversation(key, (...request) => this.connection.request(...request));
            this.#conversations.set(key, found);
            this.#letGo();
        } else {
            this.#conversations.delete(key); // to the end: most recent
            this.#conversations.set(key, found);
        }
        return found;
    }

    // Those not looked at for longest, unless something typed in them still waits.
    #letGo() {
        for (const [key, conversation] of this.#conversations) {
            if (this.#conversations.size <= CONVERSATIONS_KEPT) return;
            if (key !== this.#subscribed && !conversation.pending.length) this.#conversations.delete(key);
        }
    }

    // Shows a session: hear its messages, then read what there is, so that nothing falls between.
    async watch(key) {
        const before = this.#subscribed;
        this.#subscribed = key;
        const conversation = this.conversation(key);
        if (this.connection.phase !== "open") return conversation;
        if (before && before !== key) this.connection.request("sessions.messages.unsubscribe", { key: before }).catch(() => {});
        await this.#hear(conversation);
        return conversation;
    }

    async #hear(conversation) {
        try {
            await this.connection.request("sessions.messages.subscribe", { key: conversation.key });
        } catch (error) {
            if (!error.lost) conversation.error = error;
        }
        await conversation.load();
        this.sessions.seen(conversation.key);
    }

    // Events were missed: read again what they would have told.
    resync() {
        this.sessions.load();
        if (this.#subscribed) this.#hear(this.conversation(this.#subscribed));
        this.#loadRequests();
    }

    // ---- a connection opened ----

    #onOpen(hello) {
        const { snapshot = {} } = hello;
        this.defaults = snapshot.sessionDefaults ?? {};
        this.presence = snapshot.presence ?? [];
        this.health = snapshot.health ?? null;
        this.connection.request("sessions.subscribe").catch(() => {});
        this.resync();
        this.#loadCatalogue();
        this.#opened++;
        this.emit("open", hello, this.#opened === 1);
    }

    async #loadCatalogue() {
        const ask = (method, take) => this.connection.has(method) &&
            this.connection.request(method).then((reply) => (take(reply), this.emit("catalogue")), () => {});
        await Promise.all([
            ask("models.list", ({ models }) => (this.models = models)),
            ask("commands.list", ({ commands }) => (this.commands = commands)),
            ask("agents.list", ({ agents }) => (this.agents = agents)),
        ]);
    }

    async #loadRequests() {
        const { connection } = this;
        const approvals = connection.has("exec.approval.list") && connection.may("approvals")
            ? connection.request("exec.approval.list").catch(() => null) : null;
        const devices = connection.has("device.pair.list") && connection.may("pairing")
            ? connection.request("device.pair.list").catch(() => null) : null;
        const [list, pairs] = await Promise.all([approvals, devices]);
        if (Array.isArray(list)) {
            this.approvals = new Map(list.map((one) => [one.id, one]));
            this.emit("approvals");
        }
        if (pairs) {
            this.pairing = new Map((pairs.pending ?? []).map((one) => [one.requestId, one]));
            this.emit("pairing");
        }
    }

    // ---- events ----

    #onEvent(event, payload) {
        this.#keep(event, payload);
        EVENTS[event]?.(this, payload);
        this.emit(`event:${event}`, payload);
    }

    #keep(event, payload) {
        this.events.push({ at: Date.now(), event, payload });
        if (this.events.length > EVENTS_KEPT) this.events.shift();
        this.emit("events");
    }

    known(key) {
        return this.#conversations.get(key);
    }

    forget(key) {
        this.#conversations.delete(key);
        if (this.#subscribed === key) this.#subscribed = null;
    }
}

// One row per event that changes what is known.
const EVENTS = {
    "chat": (app, payload) => app.known(payload.sessionKey)?.onChat(payload),
    "agent": (app, payload) => app.known(payload.sessionKey)?.onAgent(payload),
    "session.message": (app, payload) => {
        if (payload.session) app.sessions.put(payload.session);
        app.known(payload.sessionKey)?.onMessage(payload);
    },
    "sessions.changed": (app, { sessionKey, reason, session }) => {
        if (reason === "delete") app.sessions.remove(sessionKey);
        else if (session) app.sessions.put(session);
        else app.sessions.load();
        if (session) app.known(sessionKey)?.onRow(session);
        // A reset leaves an empty session behind; what it holds now is read again.
        if (reason === "reset" || reason === "new") app.known(sessionKey)?.load();
        if (reason === "delete") app.forget(sessionKey), app.emit("deleted", sessionKey);
    },
    "presence": (app, { presence }) => (app.presence = presence ?? [], app.emit("presence")),
    "health": (app, health) => (app.health = health, app.emit("health")),
    "exec.approval.requested": (app, approval) => (app.approvals.set(approval.id, approval), app.emit("approvals", approval)),
    "exec.approval.resolved": (app, { id }) => (app.approvals.delete(id), app.emit("approvals")),
    "device.pair.requested": (app, request) => (app.pairing.set(request.requestId, request), app.emit("pairing", request)),
    "device.pair.resolved": (app, { requestId }) => (app.pairing.delete(requestId), app.emit("pairing")),
    "chat.metadata.changed": (app) => app.emit("stale"),
    "shutdown": (app, payload) => app.emit("shutdown", payload),
};
