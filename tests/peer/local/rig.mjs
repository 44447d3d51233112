// What the roads need: a user whose gateway it is, an sshd of our own, a port that is free. All of it in
// the scenario's scratch folder, all of it gone with the scenario.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { Skip, TOP } from "../kit/scenario.mjs";

const FOLDERS = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];

export function tool(name, from) {
    const found = FOLDERS.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
    if (!found) throw new Skip(`${name} is not installed (${from}); deploy/test installs it`);
    return found;
}

export function must(program, args, options = {}) {
    const { status, stderr, error } = spawnSync(program, args, { ...options, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] });
    if (status !== 0) throw new Skip(`${program} ${args[0]}: ${error?.message ?? stderr.trim()}`);
}

// "root" as it is; "user": whoever runs the tests, and for root an account made for this run.
export function chooseUser(scenario, kind) {
    const us = os.userInfo();
    if (kind === "root") {
        if (us.uid !== 0) throw new Skip("the gateway as root is tested by root only");
        return { name: us.username, uid: us.uid, gid: us.gid };
    }
    if (us.uid !== 0) return { name: us.username, uid: us.uid, gid: us.gid };
    const name = `culvert-t${process.pid}`;
    // "*": no password, yet not a locked account, which sshd would refuse.
    must(tool("useradd", "passwd"), ["--no-create-home", "--home-dir", scenario.dir, "--shell", "/bin/sh", "--password", "*", name]);
    scenario.atEnd(() => spawnSync(tool("userdel", "passwd"), [name], { stdio: "ignore" }));
    const id = (flag) => Number(spawnSync("id", [flag, name], { encoding: "utf8" }).stdout);
    return { name, uid: id("-u"), gid: id("-g") };
}

// A folder or file that this user may enter or run; what lies where only we can read is copied.
export function folderFor(scenario, user, name) {
    const folder = path.join(scenario.dir, name);
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    fs.chownSync(folder, user.uid, user.gid);
    return folder;
}

export function programFor(scenario, user, file) {
    const { status } = spawnSync(file, ["--version"], { uid: user.uid, gid: user.gid, stdio: "ignore", cwd: "/" });
    if (status === 0) return file;
    const copy = path.join(scenario.dir, path.basename(file));
    fs.copyFileSync(file, copy);
    fs.chmodSync(copy, 0o755);
    return copy;
}

export function culvertFor(scenario, user) {
    const file = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");
    if (!fs.existsSync(file)) throw new Skip(`${file} is not built`);
    return programFor(scenario, user, file);
}

export function freePort() {
    return new Promise((done) => {
        const server = net.createServer().listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

// A port or a socket's path.
export function accepts(at) {
    return new Promise((done) => {
        const socket = typeof at === "number" ? net.connect(at, "127.0.0.1") : net.connect(at);
        socket.once("connect", () => (socket.destroy(), done(true)));
        socket.once("error", () => done(false));
    });
}

// A program that runs until the scenario ends; ready when `at` accepts. {child, log}
export async function serve(scenario, what, program, args, { at, user, cwd } = {}) {
    const child = scenario.spawn(program, args, { cwd: cwd ?? scenario.dir, env: { PATH: FOLDERS.join(":"), HOME: scenario.dir }, ...(user && { uid: user.uid, gid: user.gid }) });
    const running = { child, log: "" };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (running.log = (running.log + bytes).slice(-20_000)));
    child.on("error", (error) => (running.log += error.message));
    if (at !== undefined) {
        await scenario.until(what, () => {
            if (child.exitCode !== null || child.signalCode) throw new Error(`${what} ended (${child.exitCode ?? child.signalCode}):\n${running.log}`);
            return accepts(at);
        });
    }
    return running;
}

// OpenSSH's own server on loopback with keys of its own; ssh(user, args) runs a client that it lets in.
export async function startSshd(scenario, user) {
    const sshd = tool("sshd", "openssh-server"), ssh = tool("ssh", "openssh-client"), keygen = tool("ssh-keygen", "openssh-client");
    const folder = folderFor(scenario, user, "sshd");
    const at = (name) => path.join(folder, name);
    const port = await freePort();
    for (const name of ["host", "key"]) must(keygen, ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at(name)]);
    const publicKey = (name) => fs.readFileSync(at(`${name}.pub`), "utf8").trim();
    fs.writeFileSync(at("authorized"), `${publicKey("key")}\n`);
    fs.writeFileSync(at("known"), `[127.0.0.1]:${port} ${publicKey("host")}\n`);
    const settings = {
        ListenAddress: "127.0.0.1", Port: port, HostKey: at("host"), PidFile: "none", AuthorizedKeysFile: at("authorized"), StrictModes: "no",
        PasswordAuthentication: "no", KbdInteractiveAuthentication: "no", PermitRootLogin: "prohibit-password", UsePAM: "no",
        AllowTcpForwarding: "yes", AllowStreamLocalForwarding: "yes", LogLevel: "VERBOSE",
    };
    fs.writeFileSync(at("config"), Object.entries(settings).map((row) => `${row.join(" ")}\n`).join(""));
    for (const name of ["key", "authorized", "known"]) fs.chownSync(at(name), user.uid, user.gid);
    if (process.getuid() === 0) fs.mkdirSync("/run/sshd", { recursive: true, mode: 0o755 }); // what its service would make
    const server = await serve(scenario, "sshd", sshd, ["-D", "-e", "-f", at("config")], { at: port });

    const options = Object.entries({
        BatchMode: "yes", IdentitiesOnly: "yes", IdentityAgent: "none", UserKnownHostsFile: at("known"), StrictHostKeyChecking: "yes",
        ExitOnForwardFailure: "yes", LogLevel: "INFO",
    }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    const to = [...options, "-i", at("key"), "-p", String(port), `${user.name}@127.0.0.1`];
    return {
        command: [ssh, "-F", "/dev/null", ...to],
        forward: (what, forwarding, ready) => {
            return serve(scenario, what, ssh, ["-F", "/dev/null", "-N", ...forwarding, ...to], { at: ready, user }).catch((error) => {
                const refused = /User \S+ not allowed because.*/.exec(server.log)?.[0];
                if (refused) throw new Skip(`sshd: ${refused}`);
                throw new Error(`${error.message}\nsshd said:\n${server.log}`);
            });
        },
    };
}
