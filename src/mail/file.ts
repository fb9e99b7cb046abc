import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../observe/message-of.ts";
import type { FileBackend } from "./backend-settings.ts";
import { composeMail } from "./compose.ts";
import { signed } from "./dkim.ts";
import { type BackendMailer, misconfigured, type Receipt } from "./mailer.ts";
import type { Sender } from "./settings.ts";

/**
 * A mailer that writes each mail into a directory, for whatever picks mail up there. A mail is there whole or not at all, and
 * for nobody else to read: it signs in.
 */
export function createFileMailer(
  { directory, dkim }: Pick<FileBackend, "directory" | "dkim">,
  sender: Sender,
): BackendMailer {
  async function write(name: string, content: Uint8Array): Promise<void> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, name);
    const file = await open(`${path}.part`, "w", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  }

  return {
    name: "file",
    address: directory,
    async send(mail, onStep): Promise<Receipt> {
      const { message } = await composeMail(sender, mail);
      // The same mail again has the same name.
      const name = `${mail.messageId.replace(/[^\w.@-]/g, "").replace(/^\.+/, "")}.eml`;
      try {
        await write(name, await signed(message, dkim));
      } catch (error) {
        throw cannotWrite(directory, error);
      }
      onStep?.(`Wrote ${join(directory, name)}.`);
      return { by: "file", words: name };
    },
    async verify(onStep) {
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
      } catch (error) {
        throw cannotWrite(directory, error);
      }
      onStep(`There is a directory ${directory}.`);
    },
  };
}

function cannotWrite(directory: string, error: unknown) {
  return misconfigured(
    `The mail cannot be written to ${directory}: ${messageOf(error)}`,
    "Make a directory that Runegate's user may write to, or name another; the service may write below /var/lib/runegate only.",
  );
}
