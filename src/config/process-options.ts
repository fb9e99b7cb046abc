import { HTTP_LISTEN } from "../certificates/options.ts";
import { listenAddress } from "../net/endpoint.ts";
import { type Declaration, unset } from "../option/option.ts";
import { boolean, choice, fileMode, groupName, integer } from "../option/values.ts";

/** The options that are of no room. */
export const PROCESS_OPTIONS = {
  production: {
    name: "RUNEGATE_ENV",
    parse: (text) => choice("development", "production")(text) === "production",
    default: "development",
    help: "`production` turns on the strict rules marked (P).",
    words: ["development", "production"],
    basic: true,
  },
  listen: {
    name: "RUNEGATE_LISTEN",
    parse: listenAddress,
    default: {
      described: "`127.0.0.1:7870`; with TLS `[::]:443`, which is every address of the machine",
      text: (known) => (known.textOf("tls") === "off" ? "127.0.0.1:7870" : "[::]:443"),
    },
    help: "Where to listen: address:port, `[::1]:7870`, or `unix:/path`. A port alone is one of 127.0.0.1.",
    basic: true,
  },
  httpListen: HTTP_LISTEN,
  /** Of a unix socket to listen on: a name or a number. */
  listenGroup: {
    name: "RUNEGATE_LISTEN_GROUP",
    parse: groupName,
    default: unset("unset: as the directory gives it"),
    help: "Group of a unix socket to listen on: a name or a number; the service's user must be a member of it.",
  },
  /** Permission bits. */
  listenMode: {
    name: "RUNEGATE_LISTEN_MODE",
    parse: fileMode,
    default: {
      described: "`0660` with a group, else `0600`",
      text: (known) => (known.isGiven("listenGroup") ? "0660" : "0600"),
    },
    help:
      "Mode of a unix socket to listen on, in octal. Whoever may write to it may connect, and is believed about " +
      "forwarding headers.",
  },
  watch: {
    name: "RUNEGATE_WATCH",
    parse: boolean,
    default: "false",
    help:
      "Reload by itself, as SIGHUP does, once the env file, `email.toml`, `routes.toml` or a file that one of them names says " +
      "something else. One that is gone or empty changes nothing. Of `RUNEGATE_BRAND`, nothing is followed.",
  },
  workers: {
    name: "RUNEGATE_WORKERS",
    parse: integer(1, 64),
    default: "1",
    help: "Processes that share the port; more than the machine has cores is of no use.",
  },
} satisfies Declaration;
