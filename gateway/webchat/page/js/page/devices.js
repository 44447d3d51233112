// Devices that may use this gateway, and those that ask to.
import { h, iconButton } from "../dom.js";
import { toast } from "../toast.js";
import { copyText } from "../clipboard.js";
import { askText, confirm, showDialog } from "../view/dialogs.js";
import { openMenu } from "../view/menu.js";
import { deviceName } from "../view/requests.js";
import { badge, chips, code, empty, Page, table, time } from "./kit.js";

export class Devices extends Page {
    #app;

    constructor(app, shell) {
        super(app, shell, {
            title: "Devices",
            lede: "Browsers, apps and nodes with a key of their own. Those that ask to be let in are shown at the top of every page.",
            events: ["pairing", "presence", "event:device.pair.resolved", "event:device.pair.changed"],
            read: () => app.connection.request("device.pair.list"),
            draw: ({ paired }) => paired.length ? table("Paired devices", [
                ["Device", (device) => [h("strong", null, device.label ?? deviceName(device)), h("div", { class: "faint" }, code(device.deviceId.slice(0, 16)))]],
                ["State", (device) => (device.connected ? badge("connected", "good") : ["seen ", time(device.lastSeenAtMs ?? device.approvedAtMs)])],
                ["May", ({ scopes = [], roles = [] }) => chips(scopes.length ? scopes.map((scope) => scope.replace("operator.", "")) : roles)],
                ["Approved", ({ approvedAtMs }) => time(approvedAtMs)],
                ["", (device) => iconButton("more", `Actions for ${device.label ?? deviceName(device)}`, (event) => this.#menu(device, event.currentTarget), { small: true, "aria-haspopup": "menu", "data-focus": device.deviceId }), { kind: "acts" }],
            ], paired) : empty("devices", "No devices", "A device is paired when it first signs in."),
        });
        this.#app = app;
    }

    #menu(device, anchor) {
        const { connection } = this.#app;
        const { deviceId, tokens = [] } = device;
        const live = tokens.filter(({ revokedAtMs }) => !revokedAtMs);
        openMenu(anchor, [
            connection.has("device.pair.rename") && { label: "Rename …", icon: "edit", run: () => this.#rename(device) },
            { label: "Copy device id", icon: "copy", run: () => copyText(deviceId) },
            ...live.map(({ role }) => connection.has("device.token.rotate") && { label: `New token (${role})`, note: "The device signs in again", icon: "key", run: () => this.#ask("device.token.rotate", { deviceId, role }, ({ token }) => token && showToken(token)) }),
            null,
            ...live.map(({ role }) => connection.has("device.token.revoke") && { label: `Revoke token (${role}) …`, icon: "shield", bad: true, run: () => this.#sure("Revoke the token?", "The device is signed out and must be approved again.", "Revoke", () => this.#ask("device.token.revoke", { deviceId, role })) }),
            connection.has("device.pair.remove") && { label: "Remove …", icon: "trash", bad: true, run: () => this.#sure("Remove this device?", `${device.label ?? deviceName(device)} is signed out and forgotten.`, "Remove", () => this.#ask("device.pair.remove", { deviceId })) },
        ].filter((item) => item !== false));
    }

    async #rename(device) {
        const label = await askText({ title: "Rename device", label: "Name", value: device.label ?? device.displayName ?? "", yes: "Rename", required: true, max: 64 });
        if (label) this.#ask("device.pair.rename", { deviceId: device.deviceId, label });
    }

    async #sure(title, text, yes, run) {
        if (await confirm({ title, text, yes, bad: true })) run();
    }

    async #ask(method, params, then) {
        try {
            const reply = await this.#app.connection.request(method, params);
            then?.(reply);
        } catch (error) {
            toast(error.lost ? "Not connected: nothing was changed." : error.message, { bad: true });
        }
        this.load();
    }
}

function showToken(token) {
    showDialog((dialog, id) => h("div", { class: "inside" }, h("h2", { id }, "The new token"), h("p", null, "It is shown once."),
        h("div", { class: "command" }, h("code", { tabindex: 0 }, token), iconButton("copy", "Copy token", (event) => copyText(token, event.currentTarget), { small: true })),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Done"))));
}
