import { StoreUnavailable } from "../records.ts";

/** The server answered with an error. `word` is the first one of its reply, such as `READONLY`. */
export class ValkeyRefusal extends StoreUnavailable {
  readonly word: string;
  constructor(reply: string) {
    const word = refusalWord(reply);
    super(`The Valkey server ${WORDS[word] ?? `answers with an error (${word}).`}`);
    this.word = word;
  }
  /** Whether the words above say all there is to say. */
  get known(): boolean {
    return WORDS[this.word] !== undefined;
  }
}

/** What an operator can do something about, in their words. The replies are Redis' and Valkey's own. */
const WORDS: Readonly<Record<string, string>> = {
  WRONGPASS: "does not accept the user and password of RUNEGATE_STORE.",
  NOAUTH: "asks for a password, and RUNEGATE_STORE has none that it accepts.",
  NOPERM: "does not allow this user all that Runegate needs: see its ACL.",
  LOADING: "is still loading its data.",
  READONLY: "is a read-only replica: Runegate needs the primary.",
  MASTERDOWN: "is a replica that has lost its primary.",
  OOM: "has no memory left (maxmemory) and takes no writes.",
  MISCONF: "cannot save its data to disk and takes no writes.",
  NOREPLICAS: "has lost its replicas and takes no writes.",
  BUSY: "is busy with a script of somebody's.",
  MOVED: "is part of a cluster in which another node keeps Runegate's keys: name that node.",
  ASK: "is part of a cluster that is just moving Runegate's keys to another node.",
  CLUSTERDOWN: "is part of a cluster that is down.",
  MAXCLIENTS: "has as many connections as it allows.",
  DATABASE: "has no database of that number.",
  NOSCRIPT: "has been restarted and knows a script no more.",
};

/** Some errors of note have no word of their own. */
function refusalWord(reply: string): string {
  if (reply.startsWith("ERR max number of clients")) return "MAXCLIENTS";
  if (reply.startsWith("ERR The user executing the script can't")) return "NOPERM";
  if (/^ERR (DB index is out of range|SELECT is not allowed)/.test(reply)) return "DATABASE";
  // Before ACLs there were only passwords, and no word for a wrong one.
  if (reply.startsWith("ERR invalid password")) return "WRONGPASS";
  return /^[A-Z]+(?=\s|$)/.exec(reply)?.[0] ?? "ERR";
}
