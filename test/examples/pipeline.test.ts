/** The pipeline example: MD5 sums of a folder, by a port of a Go program. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { detectLeaks } from "../../src/testing/leaks.js";

const PROGRAM = new URL("../../../examples/pipeline/md5-all.js", import.meta.url);

type Md5All = (folder: string, signal?: AbortSignal) => Promise<Map<string, string>>;

describe("the pipeline example", () => {
  let folder = "";
  const expected: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ringloom-pipeline-"));
    await mkdir(join(folder, "below"));
    for (let n = 0; n < 60; n++) {
      const path = join(folder, n % 2 === 0 ? "below" : ".", `file-${n}`);
      await writeFile(path, `content ${n}`);
      expected.push(`${createHash("md5").update(`content ${n}`).digest("hex")}  ${path}`);
    }
  });

  after(() => rm(folder, { recursive: true }));

  test("prints the sums of all files below a folder", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(PROGRAM), folder], {
      timeout: 20_000,
    });
    assert.deepEqual(stdout.trim().split("\n").sort(), expected.sort());
  });

  test("stops at the first error, or when it is told to, and leaves nothing behind", async () => {
    const { md5All } = (await import(PROGRAM.href)) as { md5All: Md5All };
    await detectLeaks(async () => {
      await assert.rejects(md5All(join(folder, "missing")), { code: "ENOENT" });
      await assert.rejects(md5All(folder, AbortSignal.abort()), { code: "ERR_RINGLOOM_ABORTED" });
      assert.equal((await md5All(folder)).size, 60);
    });
  });
});
