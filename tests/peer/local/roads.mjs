// Every road to the gateway that people really take, a row each, and whether a fresh device on it pairs by
// itself. Only who sits at the gateway's host does; design.md section 5 "Local". CULVERT_PEER_AS=root|user
// says whose gateway it is.
import fs from "node:fs";
import path from "node:path";
import { Skip, jsonOf } from "../kit/scenario.mjs";
import { connect, newDevice } from "../kit/raw.mjs";
import { chooseUser, culvertFor, folderFor, freePort, must, programFor, serve, startSshd, tool } from "./rig.mjs";

const tcp = (port) => `ws://127.0.0.1:${port}`;
const unix = (file) => `unix:${file}`;

// open(rig) gives {url} of the near end; via: the command runs under this. silent: it pairs by itself; else
// why: what the gateway's log must say of it, so that no row passes for a reason of another.
const ROADS = [
    { name: "the command alone", silent: true, open: () => ({}) },
    { name: "the command to gateway.sock", silent: true, open: ({ socket }) => ({ url: unix(socket) }) },
    { name: "the command to 127.0.0.1", silent: true, open: ({ port }) => ({ url: tcp(port) }) },
    { name: "the command to localhost", silent: true, open: ({ port }) => ({ url: `ws://localhost:${port}` }) },
    { name: "the command to ::1", silent: true, open: ({ port }) => ({ url: `ws://[::1]:${port}` }) },

    { name: "another pid namespace, gateway.sock", why: /container/, open: ({ socket, namespace }) => ({ url: unix(socket), via: namespace() }) },
    { name: "another pid namespace, port", why: /container/, open: ({ port, namespace }) => ({ url: tcp(port), via: namespace() }) },

    { name: "ssh -L port to port", why: /\(sshd.*\)|no process we can see/, open: (rig) => sshNear(rig, "L", "port", rig.port) },
    { name: "ssh -L port to gateway.sock", why: /\(sshd.*\)|no process we can see/, open: (rig) => sshNear(rig, "L", "port", rig.socket) },
    { name: "ssh -L socket to port", why: /\(sshd.*\)|no process we can see/, open: (rig) => sshNear(rig, "L", "socket", rig.port) },
    { name: "ssh -L socket to gateway.sock", why: /\(sshd.*\)|no process we can see/, open: (rig) => sshNear(rig, "L", "socket", rig.socket) },
    { name: "ssh -R port to port", why: /\(ssh\)/, open: (rig) => sshNear(rig, "R", "port", rig.port) },
    { name: "ssh -R port to gateway.sock", why: /\(ssh\)/, open: (rig) => sshNear(rig, "R", "port", rig.socket) },
    { name: "ssh that runs socat to the port", why: /\(socat/, open: (rig) => sshRuns(rig, `TCP:127.0.0.1:${rig.port}`) },
    { name: "ssh that runs socat to gateway.sock", why: /\(socat/, open: (rig) => sshRuns(rig, `UNIX-CONNECT:${rig.socket}`) },

    { name: "socat, port to port", why: /\(socat/, open: (rig) => socat(rig, "port", `TCP:127.0.0.1:${rig.port}`) },
    { name: "socat, port to gateway.sock", why: /\(socat/, open: (rig) => socat(rig, "port", `UNIX-CONNECT:${rig.socket}`) },
    { name: "socat, socket to port", why: /\(socat/, open: (rig) => socat(rig, "socket", `TCP:127.0.0.1:${rig.port}`) },
    { name: "socat, socket to gateway.sock", why: /\(socat/, open: (rig) => socat(rig, "socket", `UNIX-CONNECT:${rig.socket}`) },

    { name: "nginx stream, port", why: /\(nginx\)/, open: (rig) => nginx(rig, streamTo(`127.0.0.1:${rig.port}`)) },
    { name: "nginx stream, gateway.sock", why: /\(nginx\)/, open: (rig) => nginx(rig, streamTo(`unix:${rig.socket}`)) },
    { name: "nginx http, port", why: /\(nginx\)/, open: (rig) => nginx(rig, httpTo(`127.0.0.1:${rig.port}`)) },
    { name: "nginx http, gateway.sock", why: /\(nginx\)/, open: (rig) => nginx(rig, httpTo(`unix:${rig.socket}:`)) },

    { name: "a Node proxy to the port", why: /\(node\)/, open: (rig) => nodeProxy(rig, rig.port) },
    { name: "a Node proxy to gateway.sock", why: /\(node\)/, open: (rig) => nodeProxy(rig, rig.socket) },
];

export default async function (scenario) {
    const rig = await makeRig(scenario);
    const skipped = [];
    for (const road of ROADS) {
        try {
            await travel(rig, road);
        } catch (error) {
            if (!(error instanceof Skip)) throw new Error(`${road.name}: ${error.message}`);
            skipped.push(road.name);
            scenario.say(`${road.name}: not tried, ${error.message}`);
        }
    }
    if (skipped.length === ROADS.length) throw new Skip("no road could be tried");
}

async function makeRig(scenario) {
    const user = chooseUser(scenario, process.env.CULVERT_PEER_AS ?? "user");
    fs.chmodSync(scenario.dir, 0o711);
    const culvert = culvertFor(scenario, user);
    const gateway = await scenario.gateway({ user, program: culvert, config: { logging: { level: "debug" } } });
    let sshd, travellers = 0;
    return {
        scenario,
        user,
        culvert,
        gateway,
        port: gateway.port,
        socket: path.join(gateway.state, "gateway.sock"),
        tokenFile: path.join(gateway.state, "token.txt"),
        ssh: () => (sshd ??= startSshd(scenario, user)),
        fresh: () => folderFor(scenario, user, `traveller-${++travellers}`),
        namespace: () => namespace(user),
    };
}

/* ---- one road ---- */

async function travel(rig, road) {
    const { scenario } = rig;
    const near = await road.open(rig);
    if (road.silent) return travelSilently(rig, road, near);
    if (!near.via) await knock(rig, road, near);

    const home = rig.fresh();
    const first = await command(rig, near, home, ["status"]);
    const asked = /culvert devices approve (\S+)/.exec(first.err)?.[1];
    scenario.ok(first.status === 4, `${road.name}: culvert status leaves with status 4`, first);
    if (!scenario.ok(asked, `${road.name}: and says how to approve it`, first)) return;
    if (near.via) reason(rig, road);
    const before = await devices(rig);
    const request = before.pending.find((p) => p.requestId === asked);
    scenario.ok(request && !before.paired.some((p) => p.deviceId === request.deviceId), `${road.name}: the device waits and is not paired`, before);

    const approved = await operator(rig, ["devices", "approve", asked]);
    scenario.ok(approved.status === 0, `${road.name}: approved at the gateway's host`, approved);
    const second = await command(rig, near, home, ["status"]);
    scenario.ok(second.status === 0, `${road.name}: culvert status passes once approved`, second);
    scenario.say(`${road.name}: asked, approved, through`);
}

async function travelSilently(rig, road, near) {
    const { scenario } = rig;
    const before = await devices(rig);
    const seen = await command(rig, { ...near, local: !near.url }, rig.fresh(), ["status"]);
    const after = await devices(rig);
    scenario.ok(seen.status === 0, `${road.name}: culvert status passes`, seen);
    scenario.ok(after.paired.length === before.paired.length + 1 && after.pending.length === before.pending.length, `${road.name}: its device is paired`, [before, after]);
    scenario.say(`${road.name}: paired silently in ${seen.ms} ms`);
}

// The same by the bare protocol: the answer a client reads. The Host is what a forward of the gateway's own
// port number would show, so only who holds the other end's socket tells them apart.
async function knock(rig, road, near) {
    const { scenario, gateway } = rig;
    const device = newDevice();
    const url = near.url.startsWith("unix:") ? `ws+unix://${near.url.slice(5)}:/` : near.url;
    const peer = await connect(url, { token: gateway.token, device, headers: { Host: `127.0.0.1:${gateway.port}` } });
    const details = peer.error?.details;
    scenario.ok(peer.error?.code === "NOT_PAIRED" && details?.code === "PAIRING_REQUIRED" && details.requestId, `${road.name}: a fresh device has to ask`, peer.error ?? "hello-ok");
    await peer.close();
    reason(rig, road);
    const { pending, paired } = await devices(rig);
    scenario.ok(pending.some((p) => p.requestId === details?.requestId && p.deviceId === device.deviceId), `${road.name}: its request is in the list`, pending);
    scenario.ok(!paired.some((p) => p.deviceId === device.deviceId), `${road.name}: it is not among the paired`, paired);
}

function reason({ scenario, gateway }, road) {
    const told = [...gateway.log().matchAll(/not local: (.*)/g)].slice(-1)[0]?.[1];
    scenario.ok(road.why.test(told ?? ""), `${road.name}: it is found out by what it is (${road.why})`, told ?? "the log says nothing");
}

/* ---- who asks ---- */

// `culvert` as the gateway's user with a device of its own in `home`.
function command({ scenario, user, culvert, gateway, tokenFile }, near, home, args) {
    // Alone it finds gateway.sock in its state folder: the link stands there.
    if (near.local) fs.symlinkSync(path.join(gateway.state, "gateway.sock"), path.join(home, "gateway.sock"));
    const all = [...(near.via ?? []), culvert, ...args, ...(near.url ? ["--url", near.url] : []), "--token-file", tokenFile];
    const env = { ...scenario.environment(home), CULVERT_STATE_DIR: home };
    return scenario.run(all[0], all.slice(1), { env, cwd: home, uid: user.uid, gid: user.gid });
}

function operator(rig, args) {
    return command(rig, {}, rig.gateway.state, args);
}

async function devices(rig) {
    const seen = await operator(rig, ["devices", "list", "--json"]);
    const list = jsonOf(seen.out);
    if (!list?.paired) throw new Error(`culvert devices list: ${seen.status} ${seen.out}${seen.err}`);
    return list;
}

/* ---- the roads' builders ---- */

let sockets = 0;

async function nearEnd(rig, kind) {
    if (kind === "port") {
        const port = await freePort();
        return { at: port, url: tcp(port) };
    }
    const file = path.join(folderFor(rig.scenario, rig.user, "near"), `${++sockets}.sock`);
    return { at: file, url: unix(file) };
}

async function sshNear(rig, letter, kind, to) {
    const sshd = await rig.ssh();
    const near = await nearEnd(rig, kind);
    const from = typeof near.at === "number" ? `127.0.0.1:${near.at}` : near.at;
    const far = typeof to === "number" ? `127.0.0.1:${to}` : to;
    await sshd.forward(`ssh -${letter}`, [`-${letter}`, `${from}:${far}`], near.at);
    return { url: near.url };
}

// As a ProxyCommand does it: what carries the bytes at the far end has pipes and one socket.
async function sshRuns(rig, to) {
    const sshd = await rig.ssh();
    const words = [...sshd.command, tool("socat", "socat"), "STDIO", to].join(" ");
    return socat(rig, "port", `EXEC:'${words.replaceAll(":", "\\:")}'`);
}

async function socat(rig, kind, to) {
    const near = await nearEnd(rig, kind);
    const from = kind === "port" ? `TCP-LISTEN:${near.at},bind=127.0.0.1,fork,reuseaddr` : `UNIX-LISTEN:${near.at},fork`;
    await serve(rig.scenario, "socat", tool("socat", "socat"), [from, to], { at: near.at, user: rig.user });
    return { url: near.url };
}

function streamTo(to) {
    const module = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"].map((f) => path.join(f, "ngx_stream_module.so")).find((f) => fs.existsSync(f));
    return (port) => {
        if (!module) throw new Skip("nginx's stream module is not installed (libnginx-mod-stream); deploy/test installs it");
        return `load_module ${module};\nevents {}\nstream { server { listen 127.0.0.1:${port}; proxy_pass ${to}; } }\n`;
    };
}

// As its documentation shows it for WebSockets: no forwarding header, and the Host is the gateway's.
function httpTo(to) {
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${name};`).join(" ");
    return (port) => `events {}
http { access_log off; ${folders}
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://${to}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } } }\n`;
}

async function nginx(rig, configuration) {
    const program = tool("nginx", "nginx");
    const port = await freePort();
    const text = configuration(port);
    const folder = folderFor(rig.scenario, rig.user, `nginx-${port}`);
    const file = path.join(folder, "nginx.conf");
    const who = rig.user.uid === 0 ? "user root root;\n" : "";
    fs.writeFileSync(file, `daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\n${who}${text}`, { mode: 0o644 });
    await serve(rig.scenario, "nginx", program, ["-e", "stderr", "-p", folder, "-c", file], { at: port, user: rig.user, cwd: folder });
    return { url: tcp(port) };
}

async function nodeProxy(rig, to) {
    const port = await freePort();
    const script = path.join(rig.scenario.dir, "proxy.mjs");
    fs.copyFileSync(path.join(import.meta.dirname, "proxy.mjs"), script);
    fs.chmodSync(script, 0o644);
    const node = programFor(rig.scenario, rig.user, process.execPath);
    await serve(rig.scenario, "the Node proxy", node, [script, String(port), String(to)], { at: port, user: rig.user });
    return { url: tcp(port) };
}

function namespace(user) {
    const unshare = tool("unshare", "util-linux");
    const words = process.getuid() !== 0 || user.uid !== 0 ? [unshare, "--user", "--map-current-user", "--pid", "--fork"] : [unshare, "--pid", "--fork"];
    must(words[0], [...words.slice(1), "true"], { uid: user.uid, gid: user.gid }); // a container or a chroot may refuse
    return words;
}
