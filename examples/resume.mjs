// Follows a topic over WebSockets and misses nothing: whatever ends a connection, the next one goes on behind the last
// record.
//
//   Node 22 or later:  node examples/resume.mjs http://127.0.0.1:8080 TOKEN admin.sensors where='temperature=gte:25;'
//   in a browser:      import { follow } from "./resume.mjs";
//
// Node prints one record a line, with its `position`: `from=<position>` goes on behind it, another day too.

/** Close codes after which connecting again makes sense; 1006 is a connection that was lost, or never came about. */
const AGAIN = new Set([1001, 1006, 4408, 4429, 4503]);

/** A stream without records tells its position every 2 s: one that is silent for so long has been lost on the way. */
const SILENCE_MS = 30_000;

const LONGEST_PAUSE_MS = 30_000;

/** The stream is over, and trying again as before would not help. */
export class StreamClosed extends Error {
  constructor(code, reason) {
    super(`${code} ${reason}`);
    this.code = code; // of the WebSocket's close, or an HTTP status
  }
}

/**
 * Hands over all records from `query.from` on, each once, in order per partition.
 *
 * @param url of the service, e.g. `location.origin`.
 * @param token JSON Web Token. A page that outlives its token has to get a new one.
 * @param topic as Kafka names it.
 * @param query `where`, `fields`, `from`, `until`, `on_gap`, as far as they are wanted.
 * @param receive called with each record; with `on_gap: "continue"` also with what has a `gap` instead of a `value`.
 *   A record counts as dealt with when it returns: store `position` together with what is made of the record, and not
 *   even the end of this program loses or doubles one.
 * @param silenceMs time without any message after which the connection counts as lost.
 * @returns a promise: fulfilled at `query.until`, rejected with `StreamClosed`, or with what `receive` throws.
 */
export async function follow(url, token, topic, query, receive, silenceMs = SILENCE_MS) {
  let from = query.from ?? "latest";
  for (let failures = 0; ; failures += 1) {
    const ticket = await getTicket(url, token); // good for one connection, within a minute
    let closed = { code: 1006, reason: "there is no ticket to be had" };
    if (ticket !== null) {
      const parameters = new URLSearchParams({ ...query, format: "record", from, ticket });
      const path = `/kafka-ws/v1/topics/${encodeURIComponent(topic)}?${parameters}`;
      closed = await listen(`${url.replace(/^http/, "ws")}${path}`, silenceMs, (message) => {
        if ("offset" in message || "gap" in message) receive(message);
        from = message.position; // only now: a record that was not dealt with comes again
        failures = 0;
      });
    }
    if (closed.code === 1000) return;
    if (!AGAIN.has(closed.code)) throw new StreamClosed(closed.code, closed.reason);
    // Of random length: when an edge stops, all its clients look for another.
    const pause = Math.random() * Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** failures);
    console.warn(`closed (${closed.code} ${closed.reason}), again in ${Math.round(pause)} ms`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** A ticket; null when nobody can give one now. */
async function getTicket(url, token) {
  let response;
  try {
    const headers = { Authorization: `Bearer ${token}` };
    response = await fetch(`${url}/kafka-ws/v1/ticket`, { headers, signal: AbortSignal.timeout(SILENCE_MS) });
    if (response.ok) return (await response.json()).ticket;
  } catch {
    return null; // the network, or an answer that was cut off
  }
  if (response.status >= 500) return null;
  throw new StreamClosed(response.status, await response.text());
}

/** One WebSocket, to its end; gives code and reason of its close. */
function listen(address, silenceMs, receive) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address);
    let timer;
    const settle = (settled, value) => {
      clearTimeout(timer);
      socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
      settled(value);
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => settle(resolve, { code: 1006, reason: "silence" }), silenceMs);
    };
    socket.onmessage = ({ data }) => {
      wait();
      try {
        receive(JSON.parse(data));
      } catch (error) {
        settle(reject, error);
      }
    };
    socket.onclose = ({ code, reason }) => settle(resolve, { code, reason });
    socket.onerror = () => settle(resolve, { code: 1006, reason: "no connection" });
    wait();
  });
}

if (globalThis.process?.argv[1]?.endsWith("resume.mjs")) {
  const [url, token, topic, ...given] = process.argv.slice(2);
  const query = Object.fromEntries(given.map((each) => each.split(/=(.*)/s, 2)));
  try {
    await follow(url, token, topic, query, (record) => console.log(JSON.stringify(record)));
  } catch (error) {
    console.error(error instanceof StreamClosed ? error.message : error);
    process.exitCode = 1;
  }
}
