// The list of sessions, newest first, kept current by sessions.changed and session.message.
import { Emitter } from "./emitter.js";

const LIMIT = 200;

export class Sessions extends Emitter {
    rows = [];
    loaded = false;
    error = null;
    search = "";
    archived = false;
    hasMore = false;
    #connection;
    #generation = 0;

    constructor(connection) {
        super();
        this.#connection = connection;
    }

    async load({ more = false } = {}) {
        const generation = ++this.#generation;
        const search = this.search.trim();
        try {
            const reply = await this.#connection.request("sessions.list", {
                limit: LIMIT, offset: more ? this.rows.length : 0, includeDerivedTitles: true, includeLastMessage: true,
                ...(search && { search }), ...(this.archived && { archived: true }),
            });
            if (generation !== this.#generation) return;
            const keys = new Set(reply.sessions.map(({ key }) => key));
            this.rows = more ? [...this.rows.filter(({ key }) => !keys.has(key)), ...reply.sessions] : reply.sessions;
            this.hasMore = Boolean(reply.hasMore);
            this.loaded = true;
            this.error = null;
        } catch (error) {
            if (generation !== this.#generation || error.lost) return;
            this.error = error;
        }
        this.emit("change");
    }

    find(key) {
        return this.rows.find((row) => row.key === key);
    }

    put(row) {
        const at = this.rows.findIndex(({ key }) => key === row.key);
        const fits = Boolean(row.archived) === this.archived;
        if (at >= 0) this.rows.splice(at, 1);
        if (fits && (at >= 0 || !this.search)) {
            const before = this.rows.findIndex(({ updatedAt }) => (updatedAt ?? 0) <= (row.updatedAt ?? 0));
            this.rows.splice(before < 0 ? this.rows.length : before, 0, row);
        }
        this.emit("change");
    }

    remove(key) {
        this.rows = this.rows.filter((row) => row.key !== key);
        this.emit("change");
    }

    // The person has it before their eyes.
    seen(key) {
        const row = this.find(key);
        if (!row?.unread) return;
        row.unread = false;
        this.emit("change");
        this.#connection.request("sessions.patch", { key, unread: false }).catch(() => {});
    }
}

export function titleOf(row, key = row?.key ?? "") {
    return row?.label || row?.displayName || withoutMarks(row?.derivedTitle) || nameOfKey(key);
}

// First words without the marks of Markdown.
export const withoutMarks = (text = "") => text.replace(/```\S*|[`*_#>|~]+/g, " ").replace(/\s+/g, " ").trim();

// "agent:main:main" → "Main chat"; "agent:ops:dashboard:<uuid>" → "New chat".
export function nameOfKey(key) {
    const parts = key.split(":");
    const rest = parts[0] === "agent" ? parts.slice(2) : parts;
    if (rest.length === 1 && rest[0] === "main") return parts[1] && parts[1] !== "main" ? `Main chat of ${parts[1]}` : "Main chat";
    if (rest[0] === "dashboard") return "New chat";
    return rest.join(":") || key;
}
