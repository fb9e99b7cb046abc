/** The page's own files, imported as text (`with { type: "text" }`). */
declare module "*/static/sample/app.css" {
  const text: string;
  export default text;
}
declare module "*/static/sample/app.js" {
  const text: string;
  export default text;
}
declare module "*/static/sample/logo.svg" {
  const text: string;
  export default text;
}
