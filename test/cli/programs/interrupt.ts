import { spawn } from 'node:child_process'
import { once } from 'node:events'

// interrupt <text> <command...>: runs a command, and sends it SIGINT as soon as it prints the text.
const [text = '', command = '', ...words] = process.argv.slice(2)
const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] })
let printed = ''
let isInterrupted = false
child.stdout.on('data', (chunk: Buffer) => {
  process.stdout.write(chunk)
  printed += chunk.toString()
  if (printed.includes(text) && !isInterrupted) isInterrupted = child.kill('SIGINT')
})
const [code] = (await once(child, 'close')) as [number | null]
process.exitCode = code ?? 1
