import { resolve } from "node:path";
import { EXIT } from "../exit.ts";
import { type Command, failed } from "./command.ts";
import { isSystemError } from "./replace-file.ts";
import { putInPlace, write } from "./setup/apply.ts";
import { Abandoned, holdDialog } from "./setup/dialog.ts";
import { INSTALLED, placeIn, whyNotHere } from "./setup/place.ts";
import { makePlan } from "./setup/plan.ts";

const FLAGS = {
  domain: { type: "string" },
  allow: { type: "string" },
  smtp: { type: "string" },
  "smtp-user": { type: "string" },
  "smtp-password-file": { type: "string" },
  "smtp-tls": { type: "string", values: ["starttls", "implicit", "none"] },
  from: { type: "string" },
  "test-mail": { type: "string" },
  dir: { type: "string" },
  yes: { type: "boolean" },
} as const;

/** `runegate setup`: from one file to a running service. */
export const setup: Command<typeof FLAGS> = {
  name: "setup",
  summary: "ask a few questions, and install this executable as a service",
  help: `Usage: runegate setup [--yes] [--domain NAME] [--allow LIST] [--target ADDRESS] [--smtp HOST[:PORT] …]
       runegate setup --dir FOLDER …

Asks for the domain, who may sign in, where the application is, and the account
that mail is sent from. Looks whether the domain leads here, the application
answers, and the mail server takes the login and a test mail. Shows what it is
about to write. Then it writes the configuration and installs itself as a
service, with TLS and a certificate that it orders: on a server with systemd, as
root, and with nothing but this one file. Where Runegate is installed already,
what is there are the proposed answers, and of a file that changes the one
before is kept as NAME.previous. Nothing is changed before the last question.

  --domain NAME     such as app.example.org, which leads to this server
  --allow LIST      who may sign in: addresses, and @example.org for whole domains
  --target ADDRESS  where the application is; a port alone is one of 127.0.0.1
  --smtp HOST:PORT  the mail server, with 587 as the port where none is said
  --smtp-user NAME  the account there; without it, no login
  --smtp-password-file FILE
                    its password; /dev/stdin is a file too
  --smtp-tls MODE   starttls, implicit (where left out, on port 465) or none (where
                    left out, for a mail server on this machine)
  --from ADDRESS    whom mail is from
  --test-mail ADDRESS
                    sends a mail there; - for none
  --tls off         leaves TLS to a proxy on this machine: listens on 127.0.0.1:7870
  --dir FOLDER      only writes runegate.env and email.toml, there. Needs no root
  --yes             asks nothing: what no flag says is as proposed

Every other option is a flag too, and goes into the file: --acme-directory staging.

Exit codes: ${EXIT.done} done, ${EXIT.failed} not done, ${EXIT.usage} an answer is missing or wrong and nobody is there to be
asked, ${EXIT.config} the answers do not go together.

Example: runegate setup`,

  readsOptions: true,
  flags: FLAGS,

  async run({ values }, io) {
    const place = values.dir === undefined ? INSTALLED : placeIn(resolve(values.dir));
    const refusal = place.isInstalled ? await whyNotHere(io.flags ?? {}) : undefined;
    if (refusal !== undefined) return failed(io, refusal);
    try {
      const silent = values.yes === true || values.json === true;
      const plan = await holdDialog(silent, values.yes === true, io, (dialog) =>
        makePlan(dialog, values, place, io),
      );
      if (plan === undefined) return failed(io, NOTHING);
      return place.isInstalled ? await putInPlace(plan, values.json === true, io) : write(plan, io);
    } catch (error) {
      if (error instanceof Abandoned) return failed(io, `\n${NOTHING}`);
      if (!isSystemError(error)) throw error;
      return failed(io, `runegate setup: ${error.message}`);
    }
  },
};

const NOTHING = "Nothing was written.";
