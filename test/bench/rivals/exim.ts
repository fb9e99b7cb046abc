import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BenchError, freePort, type Stage } from "../stage.ts";

/** A mail server that delivers into a directory, as one that people have: it takes mail, puts it into a queue and delivers it. */
export type MailServer = {
  readonly port: number;
  /** Where each mail arrives as a file of its own (maildir). */
  readonly arrivals: string;
  /** Its files stand where its own user may reach them, so not on the stage. */
  clear(): void;
};

/** @throws {BenchError} where Exim is not installed or this is not root, as which alone it takes another configuration. */
export async function startExim(stage: Stage): Promise<MailServer> {
  const exim = Bun.which("exim4");
  if (exim === null) throw new BenchError("This needs Exim: apt-get install exim4-daemon-light.");
  if (process.getuid?.() !== 0) throw new BenchError("Exim takes a configuration of ours from root alone.");
  const [uid, gid] = (await stage
    .run(["id", "-u", USER], 5)
    .then(async (user) => [Number(user), Number(await stage.run(["id", "-g", USER], 5))])) as [
    number,
    number,
  ];
  const directory = mkdtempSync(join(tmpdir(), "runegate-exim-"));
  for (const name of ["", "spool", "log", "mail", "mail/new", "mail/cur", "mail/tmp"]) {
    if (name !== "") mkdirSync(join(directory, name));
    chownSync(join(directory, name), uid, gid);
  }
  const port = freePort();
  const configuration = join(directory, "exim.conf");
  writeFileSync(configuration, configurationOf(directory, port));
  try {
    await stage.start("exim", [exim, "-C", configuration, "-bdf", "-q1m"], port);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    port,
    arrivals: join(directory, "mail", "new"),
    clear: () => rmSync(directory, { recursive: true, force: true }),
  };
}

const USER = "Debian-exim";

const configurationOf = (directory: string, port: number) => `
primary_hostname = localhost
spool_directory = ${directory}/spool
log_file_path = ${directory}/log/%slog
pid_file_path = ${directory}/spool/pid
local_interfaces = <; 127.0.0.1.${port}
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = all
begin acl
all:
  accept
begin routers
everybody:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = ${directory}/mail
  maildir_format
  user = ${USER}
`;
