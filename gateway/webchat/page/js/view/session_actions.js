// What can be done with a session, offered by its row and by the head of its chat. An item whose method the gateway
// lacks is not there.
import { toast } from "../toast.js";
import { copyText } from "../clipboard.js";
import { titleOf } from "../sessions.js";
import { askText, confirm } from "./dialogs.js";
import { openMenu } from "./menu.js";

export function sessionMenu(app, row, anchor) {
    const { connection } = app;
    const isMain = row.isMain;
    openMenu(anchor, [
        connection.has("sessions.patch") && { label: "Rename …", icon: "edit", run: () => rename(app, row) },
        connection.has("sessions.patch") && !isMain && {
            label: row.archived ? "Bring back" : "Archive", icon: "archive", run: () => archive(app, row),
        },
        connection.has("sessions.compact") && { label: "Compact …", note: "Summarise what is old to make room", icon: "compact", run: () => compact(app, row) },
        { label: "Copy session key", icon: "copy", run: () => copyText(row.key) },
        null,
        connection.has("sessions.reset") && { label: "Start anew …", note: "The transcript is archived", icon: "retry", run: () => reset(app, row) },
        connection.has("sessions.delete") && !isMain && { label: "Delete …", icon: "trash", bad: true, run: () => remove(app, row) },
    ].filter((item) => item !== false && item !== undefined));
}

const failed = (what) => (error) => toast(error.lost ? `Not connected: ${what}.` : `${what}: ${error.message}`, { bad: true });

export async function rename(app, row) {
    const label = await askText({ title: "Rename session", label: "Name", value: row.label ?? titleOf(row), yes: "Rename", hint: "Leave it empty to go back to the first words said." });
    if (label === null) return;
    await app.connection.request("sessions.patch", { key: row.key, label: label || null }).catch(failed("The session was not renamed"));
}

async function archive(app, row) {
    const done = await app.connection.request("sessions.patch", { key: row.key, archived: !row.archived }).then(() => true, failed("The session was not archived"));
    if (done !== true || row.archived) return;
    toast("Archived.", { action: { label: "Undo", run: () => app.connection.request("sessions.patch", { key: row.key, archived: false }).catch(failed("It stays archived")) } });
}

async function compact(app, row) {
    toast("Compacting …");
    await app.connection.request("sessions.compact", { key: row.key }, { timeoutMs: 180_000 })
        .then(({ compacted, reason }) => toast(compacted ? "Compacted." : `Nothing to compact${reason ? `: ${reason}` : ""}.`), failed("The session was not compacted"));
}

export async function reset(app, row) {
    const sure = await confirm({ title: "Start this session anew?", text: `“${titleOf(row)}” begins empty, with the same name and settings. What was said so far is archived.`, yes: "Start anew" });
    if (sure) await app.connection.request("sessions.reset", { key: row.key }).catch(failed("The session was not reset"));
}

async function remove(app, row) {
    const sure = await confirm({ title: "Delete this session?", text: `“${titleOf(row)}” and what was said in it are removed for everybody.`, yes: "Delete", bad: true });
    if (sure) await app.connection.request("sessions.delete", { key: row.key }).catch(failed("The session was not deleted"));
}
