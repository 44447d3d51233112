// From an address to a page: take the code, get this browser's key, sign in, then show the shell.
import { Connection } from "./connection.js";
import { loadIdentity, whyNoIdentity } from "./identity.js";
import { App } from "./app.js";
import { replace } from "./dom.js";
import { tab } from "./storage.js";
import { Shell } from "./view/shell.js";
import { SignIn, cannotSignIn } from "./view/signin.js";

const root = document.getElementById("root");
const code = window.culvertCode;
delete window.culvertCode;

async function start() {
    const why = await whyNoIdentity();
    if (why) {
        replace(root, cannotSignIn(why));
        return;
    }
    const identity = await loadIdentity();
    const connection = new Connection(identity);
    const app = new App(connection);
    let shell = null, signIn = null;

    function show() {
        // Once in, a lost line is told inside the shell; only a refusal leads back out.
        if (connection.hello && connection.phase !== "refused" && connection.phase !== "idle" && connection.phase !== "pairing") {
            signIn = null;
            shell ??= new Shell(app, { signOut });
            if (!shell.element.isConnected) {
                replace(root, shell.element);
                shell.shown();
            }
            return;
        }
        if (!signIn) {
            signIn = new SignIn(connection, identity);
            replace(root, signIn.element);
        }
        signIn.update();
    }

    async function signOut() {
        const { deviceId } = identity;
        if (connection.has("device.pair.remove")) await connection.request("device.pair.remove", { deviceId }, { timeoutMs: 3000 }).catch(() => {});
        connection.stop();
        await identity.forget();
        for (const name of Object.keys(sessionStorage)) tab.set(name, null);
        location.reload();
    }

    connection.on("phase", show);
    if (code) connection.start({ bootstrapToken: code });
    else if (identity.token) connection.start({ deviceToken: identity.token });
    show();
}

start().catch((error) => {
    console.error(error);
    replace(root, cannotSignIn("storage", error));
});
