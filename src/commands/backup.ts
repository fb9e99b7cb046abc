import { systemRandom } from "../clock.ts";
import { loadAccess } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import { StoreUnavailable } from "../store/records.ts";
import { backUp } from "../store/sqlite/backup.ts";
import { type Command, failed, UsageError } from "./command.ts";

/** `runegate backup`: a copy of the SQLite store while it is in use. */
export const backup: Command = {
  name: "backup",
  summary: "copy the SQLite store to a file while Runegate runs",
  help: `Usage: runegate backup FILE

Copies the database of RUNEGATE_STORE=sqlite:… to FILE: all of it, as it is at
one moment. Runegate may run meanwhile and is not held up. FILE must not be
there yet, and can be read by its owner only. For root, who reads the service's
database with the service's rights, it is made beside the database first, so
there must be room for it there too.

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
  takes: { least: 1, most: 1, what: "one file" },

  async run({ words: [file = ""] }, io) {
    if (file === "") throw new UsageError("backup takes one file.");
    const { store } = loadAccess(io).options;
    if (store.kind !== "sqlite") return failed(io, NOT_HERE[store.kind]);
    try {
      const { bytes, schema, records } = backUp(store.path, file, systemRandom);
      const {
        session: sessions = 0,
        ticket: spentTickets = 0,
        mail = 0,
        mail_reserved: reserved = 0,
      } = records;
      const mails = mail + reserved;
      io.out(
        `${store.path} was copied to ${file}: sessions ${sessions}, spent tickets ${spentTickets}, mails waiting ${mails}; ${bytes} bytes.`,
      );
      return { data: { file, bytes, schema, sessions, spent_tickets: spentTickets, mails } };
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      return failed(io, `runegate backup: ${error.message}`);
    }
  },
};

const NOT_HERE = {
  memory: "RUNEGATE_STORE is memory, which keeps nothing that could be copied to a file.",
  postgres: "RUNEGATE_STORE is a PostgreSQL database: it is backed up there (pg_dump).",
  valkey: "RUNEGATE_STORE is a Valkey server: its data is backed up there (BGSAVE copies it to its disk).",
} as const;
