import { ENGLISH, type Language } from "./language.ts";

/** How pages and mails look to whoever they are for. */
export type Look = { readonly language: Language };

/** Where nobody in particular asks. */
export const PLAIN: Look = { language: ENGLISH };
