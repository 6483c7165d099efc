/** From the rest of a URL's path to a name below a folder, or to nothing. */
import { sep } from "node:path";

/**
 * The relative name of a decoded path, with the separators of this system; undefined for one that leaves its folder or could mean another name to the file system: `..`, NUL, a backslash, a drive letter or a stream
 * of Windows.
 */
export function safeRelativePath(path: string): string | undefined {
  if (/[\0\\]/.test(path) || (sep === "\\" && path.includes(":"))) return undefined;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") return undefined;
    parts.push(part);
  }
  return parts.join(sep);
}

/** Whether a name has a part that begins with a dot, as `.git/config` has. */
export function isHidden(relativePath: string): boolean {
  return relativePath.split(sep).some((part) => part.startsWith("."));
}
