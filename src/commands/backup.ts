import { parseArgs } from "node:util";
import { systemRandom } from "../clock.ts";
import { loadOptions } from "../config/load.ts";
import { EXIT } from "../exit.ts";
import { StoreUnavailable } from "../store/records.ts";
import { backUp } from "../store/sqlite/backup.ts";
import { type Command, UsageError } from "./command.ts";

const FLAGS = { json: { type: "boolean" } } as const;

/** `runegate backup`: a copy of the SQLite store while it is in use. */
export const backup: Command = {
  name: "backup",
  summary: "copy the SQLite store to a file while Runegate runs",
  help: `Usage: runegate backup FILE [--json]

Copies the database of RUNEGATE_STORE=sqlite:… to FILE: all of it, as it is at
one moment. Runegate may run meanwhile and is not held up. FILE must not be
there yet, and can be read by its owner only. For root, who reads the service's
database with the service's rights, it is made beside the database first, so
there must be room for it there too.

  --json    print what was copied as JSON

To restore it, with DATABASE the file that RUNEGATE_STORE names:

  systemctl stop runegate
  rm -f DATABASE-wal DATABASE-shm
  install -m 600 -o USER FILE DATABASE      (USER: the service's user)
  systemctl start runegate

A backup knows nothing of what came after it: whoever signed in since has to do
so again, sessions that were ended since are back (runegate sessions revoke),
and login links used since work once more until they expire.

Exit codes: ${EXIT.done} done, ${EXIT.failed} not done, and why.

Example: runegate backup /var/backups/runegate-$(date +%F).db`,

  readsOptions: true,
  flags: FLAGS,

  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: FLAGS,
      allowPositionals: true,
    });
    const [file, ...more] = positionals;
    if (file === undefined || file === "" || more.length > 0) throw new UsageError("backup takes one file.");
    const { store } = loadOptions(io).options;
    if (store.kind !== "sqlite") {
      io.err(NOT_HERE[store.kind]);
      return EXIT.failed;
    }
    try {
      const { bytes, schema, records } = backUp(store.path, file, systemRandom);
      const {
        session: sessions = 0,
        ticket: spentTickets = 0,
        mail = 0,
        mail_reserved: reserved = 0,
      } = records;
      const mails = mail + reserved;
      if (values.json) {
        io.out(JSON.stringify({ file, bytes, schema, sessions, spent_tickets: spentTickets, mails }));
      } else {
        io.out(
          `${store.path} was copied to ${file}: sessions ${sessions}, spent tickets ${spentTickets}, mails waiting ${mails}; ${bytes} bytes.`,
        );
      }
      return EXIT.done;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      io.err(`runegate backup: ${error.message}`);
      return EXIT.failed;
    }
  },
};

const NOT_HERE = {
  memory: "RUNEGATE_STORE is memory, which keeps nothing that could be copied to a file.",
  valkey: "RUNEGATE_STORE is a Valkey server: its data is backed up there (BGSAVE copies it to its disk).",
} as const;
