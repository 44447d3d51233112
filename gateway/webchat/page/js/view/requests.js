// What waits for a decision, above everything else: commands an agent wants to run, devices that want in. The first
// stand there, the others behind a button, so that the page below can still be read.
import { arrange, h, icon, replace } from "../dom.js";
import { duration, time } from "../format.js";
import { toast } from "../toast.js";
import { titleOf } from "../sessions.js";

const NARROW = matchMedia("(max-width: 40rem)");

export class Requests {
    element = h("section", { class: "requests", "aria-label": "Waiting for your decision", hidden: true });
    #app;
    #cards = new Map();
    #all = false;
    #more = h("button", { type: "button", class: "button small plain more", on: { click: () => (this.#all = !this.#all, this.#render()) } });
    #said = h("div", { class: "unseen", role: "status" });

    constructor(app) {
        this.#app = app;
        app.on("approvals", (fresh) => this.#render(fresh && `An agent asks for approval: ${fresh.request?.command ?? ""}`));
        app.on("pairing", (fresh) => this.#render(fresh && `${deviceName(fresh)} asks to be let in.`));
        NARROW.addEventListener("change", () => this.#render());
        setInterval(() => this.#tick(), 1000);
        this.#render();
    }

    #render(said) {
        const { connection, approvals, pairing } = this.#app;
        const wanted = [];
        if (connection.may("approvals") && connection.has("exec.approval.resolve")) for (const one of approvals.values()) wanted.push(this.#card(`a ${one.id}`, () => this.#approval(one)));
        if (connection.may("pairing")) for (const one of pairing.values()) wanted.push(this.#card(`p ${one.requestId}`, () => this.#device(one)));
        const first = NARROW.matches ? 1 : 2, hidden = wanted.length - first;
        this.element.hidden = wanted.length === 0;
        this.#more.setAttribute("aria-expanded", String(this.#all));
        this.#more.textContent = this.#all ? "Show fewer" : `${hidden} more wait for a decision`;
        arrange(this.element, [this.#said, ...(this.#all ? wanted : wanted.slice(0, first)), ...(hidden > 0 ? [this.#more] : [])]);
        for (const [id, card] of this.#cards) if (!wanted.includes(card)) this.#cards.delete(id);
        if (said) this.#said.textContent = said;
    }

    #card(id, make) {
        if (!this.#cards.has(id)) this.#cards.set(id, make());
        return this.#cards.get(id);
    }

    #approval({ id, request = {}, expiresAtMs }) {
        const row = request.sessionKey && this.#app.sessions.find(request.sessionKey);
        const decide = (decision, card) => this.#do(card, "exec.approval.resolve", { id, decision }, () => this.#app.approvals.delete(id));
        const card = h("article", { class: "request", data: { expires: expiresAtMs ?? "" }, "aria-label": "Approval" },
            icon("shield"),
            h("div", { class: "request-text" },
                h("h3", null, request.agentId ? `Agent ${request.agentId} asks to run` : "An agent asks to run", " ", h("span", { class: "left badge warn" })),
                h("pre", { tabindex: 0, role: "group", "aria-label": "Command" }, h("code", null, request.command ?? "")),
                h("p", { class: "hint" }, [request.cwd && `in ${request.cwd}`, request.host && `on ${request.host}`, request.warningText].filter(Boolean).join(" · "),
                    row && [" · in ", h("a", { href: `#/chat/${encodeURIComponent(row.key)}` }, titleOf(row))])),
            h("div", { class: "buttons" },
                h("button", { type: "button", class: "button main", on: { click: () => decide("allow-once", card) } }, "Allow once"),
                allowsAlways(request) && h("button", { type: "button", class: "button", on: { click: () => decide("allow-always", card) } }, "Always"),
                h("button", { type: "button", class: "button bad", on: { click: () => decide("deny", card) } }, "Deny")));
        return card;
    }

    #device(request) {
        const { requestId, remoteIp, role, scopes = [], ts, isRepair } = request;
        const decide = (method, card) => this.#do(card, method, { requestId }, () => this.#app.pairing.delete(requestId));
        const card = h("article", { class: "request", "aria-label": "Device" },
            icon("devices"),
            h("div", { class: "request-text" },
                h("h3", null, `${deviceName(request)} ${isRepair ? "asks to be let in again" : "asks to be let in"}`),
                h("p", { class: "hint" }, [role === "node" ? "as a node" : "as an operator", remoteIp && `from ${remoteIp}`,
                    scopes.length && `may ${scopes.map((scope) => scope.replace("operator.", "")).join(", ")}`].filter(Boolean).join(" · "), " · ", time(ts)),
                h("p", { class: "hint" }, "Request ", h("code", null, requestId))),
            h("div", { class: "buttons" },
                h("button", { type: "button", class: "button main", on: { click: () => decide("device.pair.approve", card) } }, "Approve"),
                h("button", { type: "button", class: "button bad", on: { click: () => decide("device.pair.reject", card) } }, "Reject")));
        return card;
    }

    async #do(card, method, params, gone) {
        for (const button of card.querySelectorAll("button")) button.disabled = true;
        try {
            await this.#app.connection.request(method, params);
            gone();
        } catch (error) {
            toast(error.lost ? "Not connected: nothing was decided." : error.message, { bad: true });
            if (/unknown|expired|already|not found/i.test(error.message)) gone();
        }
        for (const button of card.querySelectorAll("button")) button.disabled = false;
        this.#render();
    }

    #tick() {
        for (const card of this.#cards.values()) {
            const left = Number(card.dataset.expires) - Date.now();
            const badge = card.querySelector(".left");
            if (!badge || !Number(card.dataset.expires)) continue;
            replace(badge, left > 0 ? duration(Math.ceil(left / 1000) * 1000).replace(".0", "") : "expired");
            if (left < -2000) {
                for (const [id] of this.#app.approvals) if (this.#cards.get(`a ${id}`) === card) this.#app.approvals.delete(id);
                this.#render();
                return;
            }
        }
    }
}

const allowsAlways = (request) => !request.noAlways && (!Array.isArray(request.allowedDecisions) || request.allowedDecisions.includes("allow-always"));

export const deviceName = ({ displayName, clientId, platform }) => displayName || [clientId, platform].filter(Boolean).join(" on ") || "A device";
