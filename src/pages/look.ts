import { ENGLISH, type Language } from "./language.ts";

/** How pages and mails look to whoever they are for: in which language, and whose they are. */
export type Look = {
  readonly language: Language;
  /** What people sign in to, by the name they know it by. */
  readonly app: string;
  /** The host that it is at. */
  readonly host: string;
  /** A character or two that stand for it. */
  readonly sign: string | undefined;
  /** Whom to ask for access: an address, or a line of text. */
  readonly contact: string | undefined;
  /** Paths of the operator's logo, and of style sheets after ours. */
  readonly logo: string | undefined;
  /** Whether mails have one too. */
  readonly hasMailLogo: boolean;
  readonly styles: readonly string[];
  /** Where somebody may choose another language: where to go back to then, on this host. */
  readonly back: string | undefined;
  /** Whether whoever looks uses an application of this host as somebody else, of which each page reminds them. */
  readonly acting?: boolean;
  /** In mails, which know no style sheets: the accent in light and in dark. */
  readonly colors: { readonly light: string; readonly dark: string } | undefined;
};

/** Where nobody in particular asks. */
export const PLAIN: Look = {
  ...{ language: ENGLISH, app: "Runegate", host: "localhost", styles: [], hasMailLogo: false },
  ...{ sign: undefined, contact: undefined, logo: undefined, back: undefined, colors: undefined },
};
