// One connection from a process that holds nothing else, with the headers it is told:
// node probe.mjs <url> <options of connect() as JSON>; prints {hello, error, refused}.
import { connect, newDevice } from "../kit/raw.mjs";

const [url, options] = process.argv.slice(2);
const answer = {};
try {
    const peer = await connect(url, { device: newDevice(), ...JSON.parse(options) });
    answer.hello = Boolean(peer.hello);
    answer.error = peer.error;
    await peer.close();
} catch (error) {
    answer.refused = error.message;
}
console.log(JSON.stringify(answer));
