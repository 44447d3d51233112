// Attachments: images, the only kind a model is given. Limits are the gateway's. Their bytes are looked at before
// they leave; what they are decides, not their name. Nothing that was attached is ever shown but as a picture.
import { h, icon, iconButton } from "../dom.js";
import { bytes } from "../format.js";
import { showDialog } from "./dialogs.js";

const COUNT_MAX = 16;
const KINDS = [
    ["image/png", [0x89, 0x50, 0x4e, 0x47]],
    ["image/jpeg", [0xff, 0xd8, 0xff]],
    ["image/gif", [0x47, 0x49, 0x46, 0x38]],
    ["image/webp", [0x52, 0x49, 0x46, 0x46]],
];

export const ACCEPTED = KINDS.map(([type]) => type).join(",");

// {mimeType, fileName, content, size} or throws what to say.
export async function readAttachment(file, policy) {
    const limit = Math.min(policy?.maxImageBytes ?? 5_000_000, 5_000_000);
    const name = file.name || "pasted image";
    const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const kind = KINDS.find(([, magic]) => magic.every((byte, at) => head[at] === byte));
    if (!kind) throw new Error(`${name} is not a picture the model can be given (PNG, JPEG, GIF or WebP).`);
    if (file.size > limit) throw new Error(`${name} has ${bytes(file.size)}; a picture may have ${bytes(limit)}.`);
    const data = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let at = 0; at < data.length; at += 0x8000) text += String.fromCharCode(...data.subarray(at, at + 0x8000));
    return { mimeType: kind[0], fileName: name, content: btoa(text), size: file.size };
}

export class Tray {
    items = [];
    element = h("div", { class: "tray", hidden: true });
    #policy;
    #say;

    constructor({ policy, say }) {
        this.#policy = policy;
        this.#say = say;
    }

    async add(files) {
        for (const file of files) {
            if (this.items.length >= COUNT_MAX) {
                this.#say(`A message carries at most ${COUNT_MAX} pictures.`);
                break;
            }
            try {
                this.items.push(await readAttachment(file, this.#policy()));
            } catch (error) {
                this.#say(error.message);
            }
        }
        this.#render();
    }

    set(items) {
        this.items = items;
        this.#render();
    }

    #render() {
        this.element.hidden = this.items.length === 0;
        this.element.replaceChildren(...this.items.map((item) => h("figure", { class: "thumb" },
            h("img", { src: urlOf(item), alt: item.fileName }),
            h("figcaption", null, item.fileName, " ", bytes(item.size ?? 0)),
            iconButton("close", `Remove ${item.fileName}`, () => this.set(this.items.filter((one) => one !== item)), { small: true }))));
    }
}

const urlOf = ({ mimeType, content }) => `data:${mimeType};base64,${content}`;

// A picture of a message, larger at a click. What is no picture of those kinds stays a name.
export function imageOf({ data, mimeType, fileName, omitted, bytes: size }) {
    const shown = typeof data === "string" && data && KINDS.some(([type]) => type === mimeType);
    if (!shown) return h("p", { class: "file" }, icon("file"), fileName ?? mimeType ?? "attachment", size ? ` (${bytes(size)})` : "", omitted || !data ? " not kept here" : "");
    const src = data.startsWith("data:") ? data : `data:${mimeType};base64,${data}`;
    const name = fileName ?? "Attached picture";
    const show = () => showDialog((dialog, id) => h("div", { class: "inside picture" }, h("h2", { id }, name), h("img", { src, alt: name }),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Close"))), { wide: true });
    return h("button", { type: "button", class: "picture", "aria-label": `${name}, show larger`, on: { click: show } }, h("img", { src, alt: "", loading: "lazy" }));
}
