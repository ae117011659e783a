import { createSocket, type RemoteInfo } from 'node:dgram'
import dnsOfProcess from 'node:dns'
import { once } from 'node:events'
import { afterwards } from './server.ts'

/** A DNS server that this process uses, until all tests of the file are over. */
export interface DnsServer {
  /** Its address, for `dns.setServers()`. */
  readonly address: string
  /** The TXT records by their names, each in its parts; a name without an entry does not exist. */
  readonly records: Map<string, readonly (readonly string[])[]>
  /** True to answer with a failure. */
  isFailing: boolean
  /** Runs before it answers. */
  beforeAnswer: (() => Promise<void>) | undefined
  /** The names of the queries. */
  readonly asked: string[]
}

/** Starts a DNS server on this machine, and makes this process use it. */
export async function startDnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const address = `127.0.0.1:${socket.address().port}`
  const dns: DnsServer = { address, records: new Map(), isFailing: false, beforeAnswer: undefined, asked: [] }
  const reply = async (query: Buffer, from: RemoteInfo) => {
    await dns.beforeAnswer?.()
    socket.send(answer(dns, query), from.port, from.address)
  }
  socket.on('message', (query, from) => void reply(query, from))
  const before = dnsOfProcess.getServers()
  dnsOfProcess.setServers([address])
  afterwards(async () => {
    dnsOfProcess.setServers(before)
    socket.close()
  })
  return dns
}

const codes = { done: 0, failed: 2, noSuchName: 3 }

/** The answer to a query with one question (RFC 1035, section 4). */
function answer({ records, isFailing, asked }: DnsServer, query: Buffer): Buffer {
  const { name, end } = readName(query, 12)
  asked.push(name)
  const found = isFailing ? [] : (records.get(name) ?? [])
  const code = isFailing ? codes.failed : records.has(name) ? codes.done : codes.noSuchName
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180 | code, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(found.length, 6)
  return Buffer.concat([header, query.subarray(12, end + 4), ...found.map(txtRecord)])
}

function readName(query: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = []
  let at = start
  while (query[at] !== 0) {
    const length = query[at] ?? 0
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

function txtRecord(parts: readonly string[]): Buffer {
  const data = Buffer.concat(parts.map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])))
  // The name is that of the question, by a pointer; type TXT, class IN, to be kept for no time.
  const record = Buffer.from([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0])
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([record, data])
}
