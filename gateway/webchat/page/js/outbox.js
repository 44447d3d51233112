// Sending, once. What was typed is kept in this tab's storage until the gateway has it, and sent again after a
// loss with the same idempotency key: the gateway answers a key it knows from memory, so nothing runs twice.
import { tab } from "./storage.js";

const KEPT = "culvert.outbox";
const KEPT_MAX = 4 << 20; // characters; more (large attachments) waits in memory only

export class Outbox {
    #connection;
    #conversations;
    #busy = new Set(); // run ids on the way

    constructor(connection, conversationOf) {
        this.#connection = connection;
        this.#conversations = conversationOf;
        connection.on("open", () => this.flush());
        this.#restore();
    }

    send(key, text, attachments = [], thinking) {
        const runId = crypto.randomUUID();
        const conversation = this.#conversations(key);
        const entry = conversation.addPending({ runId, text, attachments });
        Object.assign(entry, { key, thinking });
        this.#keep();
        this.#try(conversation, entry);
        return runId;
    }

    // The person's word: a failed one is tried again as a new message, since the old key has its answer.
    retry(entry) {
        const conversation = this.#conversations(entry.key);
        conversation.removePending(entry.runId);
        this.send(entry.key, entry.text, entry.attachments, entry.thinking);
    }

    drop(entry) {
        this.#conversations(entry.key).removePending(entry.runId);
        this.#keep();
    }

    flush() {
        for (const conversation of this.#conversations.all()) {
            for (const entry of conversation.pending) if (entry.state === "sending" || entry.state === "waiting") this.#try(conversation, entry);
        }
    }

    async #try(conversation, entry) {
        if (this.#busy.has(entry.runId)) return;
        this.#busy.add(entry.runId);
        entry.state = this.#connection.phase === "open" ? "sending" : "waiting";
        conversation.touch();
        try {
            const reply = await this.#connection.request("chat.send", {
                sessionKey: entry.key, message: entry.text, idempotencyKey: entry.runId,
                ...(entry.thinking && { thinking: entry.thinking }),
                ...(entry.attachments.length && { attachments: entry.attachments.map(({ mimeType, fileName, content }) => ({ type: "image", mimeType, fileName, content })) }),
            }, { timeoutMs: 60_000 });
            entry.state = "sent";
            // A stop word starts nothing: there is no message to wait for.
            if (reply.runIds || ["ok", "timeout"].includes(reply.status)) conversation.removePending(entry.runId);
        } catch (error) {
            entry.state = error.lost ? "waiting" : "failed";
            entry.error = error.lost ? null : error;
        }
        this.#busy.delete(entry.runId);
        this.#keep();
        conversation.touch();
        // The line broke and came back while the answer was awaited.
        if (entry.state === "waiting" && this.#connection.phase === "open") this.#try(conversation, entry);
    }

    #keep() {
        const kept = [];
        for (const conversation of this.#conversations.all()) {
            for (const { key, runId, text, attachments, thinking, at, state } of conversation.pending) {
                if (state === "sending" || state === "waiting") kept.push({ key, runId, text, attachments, thinking, at });
            }
        }
        const text = kept.length ? JSON.stringify(kept) : null;
        if (!text || text.length <= KEPT_MAX) tab.set(KEPT, text);
    }

    #restore() {
        let kept = [];
        try {
            kept = JSON.parse(tab.get(KEPT) ?? "[]");
        } catch {
            // not ours
        }
        for (const { key, thinking, ...entry } of kept) {
            Object.assign(this.#conversations(key).addPending({ ...entry, state: "waiting" }), { key, thinking });
        }
    }
}
