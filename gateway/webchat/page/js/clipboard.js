// Copying, with a word about it where it happened.
import { replace, icon, h } from "./dom.js";
import { toast } from "./toast.js";

const SAID_MS = 1500;

export async function copyText(text, button) {
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        toast("The browser does not let this page copy; select the text instead.", { bad: true });
        return;
    }
    if (!button) {
        toast("Copied.");
        return;
    }
    const before = [...button.childNodes];
    replace(button, icon("check"), button.classList.contains("square") ? null : h("span", { role: "status" }, "Copied"));
    setTimeout(() => replace(button, before), SAID_MS);
}
