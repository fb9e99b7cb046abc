import type { Address } from "../identity/address.ts";

export type TlsMode = "starttls" | "implicit" | "none";

/** `email.toml`, checked. */
export type EmailConfig = {
  readonly path: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly user: string | undefined;
  readonly pass: string | undefined;
  /** As given: `address` or `Name <address>`. */
  readonly from: { readonly name: string | undefined; readonly address: Address };
  readonly replyTo: Address | undefined;
  readonly subject: string;
  readonly bodyTemplate: string;
  readonly htmlTemplate: string | undefined;
};
