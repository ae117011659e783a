import process from 'node:process'
import { createInterface } from 'node:readline'

// Runs the command line once for each line of standard input, in this one process: the words as JSON in base64, and the
// result alike. An unhandled rejection ends the process, as it would end a real one.

/** The end of one run. */
interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

const commandLine = new URL('../../../dist/cli/run.js', import.meta.url)
const answer = process.stdout.write.bind(process.stdout)
const [node = '', script = ''] = process.argv
let runs = 0

process.setMaxListeners(0)
process.stdout.setMaxListeners(0)
for await (const line of createInterface({ input: process.stdin })) {
  const words = JSON.parse(Buffer.from(line, 'base64').toString()) as string[]
  answer(`${Buffer.from(JSON.stringify(await run(words))).toString('base64')}\n`)
}
process.exitCode = 0

async function run(words: readonly string[]): Promise<Ended> {
  const printed = { stdout: '', stderr: '' }
  process.argv = [node, script, ...words]
  const restore = [capture('stdout'), capture('stderr')]
  try {
    // Its own copy of the one module that runs when it is loaded.
    runs += 1
    await import(`${commandLine.href}?run=${runs}`)
    return { ...printed, code: Number(process.exitCode) }
  } catch (error) {
    return { ...printed, stderr: `${printed.stderr}${error instanceof Error ? error.stack : String(error)}`, code: -1 }
  } finally {
    for (const it of restore) it()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
  }

  function capture(stream: 'stdout' | 'stderr'): () => void {
    const write = process[stream].write.bind(process[stream])
    process[stream].write = (chunk: string | Uint8Array) => {
      printed[stream] += String(chunk)
      return true
    }
    return () => {
      process[stream].write = write
    }
  }
}
