/** HTML that is safe to send: every piece of text in it was escaped when it went in. */

/** Made only by {@link html}; a plain string is text and gets escaped wherever it is put. */
export type Html = { readonly html: string };

type Piece = string | number | Html | readonly Html[];

/** A template literal whose interpolated text is escaped; `Html` goes in as it is, a list of it joined. */
export function html(parts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  let out = parts[0] ?? "";
  pieces.forEach((piece, index) => {
    out += render(piece) + (parts[index + 1] ?? "");
  });
  return { html: out };
}

/** Puts each value in place of its `{{name}}`. A name the template uses and nobody gives is a mistake: it throws. */
export function fill(template: string, values: Readonly<Record<string, Piece>>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the template names {{${name}}}, which has no value`);
    return render(value);
  });
}

function render(piece: Piece): string {
  if (typeof piece === "string" || typeof piece === "number") return Bun.escapeHTML(piece);
  return "html" in piece ? piece.html : piece.map((item) => item.html).join("");
}
