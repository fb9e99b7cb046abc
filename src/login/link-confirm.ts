/** When opening a link asks for a click first: in any browser but the one that asked, always, or never. */
export type LinkConfirm = "auto" | "always" | "never";
