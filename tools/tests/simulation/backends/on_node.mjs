// A backend in Node.js without packages: http, and a client for Postgres over net (SCRAM; statements with parameters).
import crypto from 'node:crypto'
import http from 'node:http'
import net from 'node:net'

const url = new URL(process.env.DATABASE_URL)
const [user, password] = [url.username, url.password].map(decodeURIComponent)
const message = (kind, ...parts) => {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.write(kind)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const text = (...words) => Buffer.from(words.map(word => `${word}\0`).join(''))
const number = (value, size = 4) => {
  const found = Buffer.alloc(size)
  found.writeIntBE(value, 0, size)
  return found
}
const hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest()

class Connection {
  constructor() {
    this.box = Buffer.alloc(0)
    this.rows = []
    this.error = null
    this.socket = net.connect(+url.port, url.hostname)
    this.socket.setNoDelay(true)
    const start = Buffer.concat([number(196608), text('user', user, 'database', url.pathname.slice(1)), Buffer.alloc(1)])
    this.socket.write(Buffer.concat([number(start.length + 4), start]))
    this.socket.on('data', data => this.hear(data))
    this.ready = new Promise((resolve, reject) => { this.waiting = { resolve, reject } })
  }

  hear(data) {
    this.box = Buffer.concat([this.box, data])
    while (this.box.length >= 5 && this.box.length > this.box.readInt32BE(1)) {
      const end = 1 + this.box.readInt32BE(1)
      const [kind, body] = [String.fromCharCode(this.box[0]), this.box.subarray(5, end)]
      this.box = this.box.subarray(end)
      this.take(kind, body)
    }
  }

  take(kind, body) {
    if (kind === 'R') this.authenticate(body)
    if (kind === 'D') this.rows.push(this.row(body))
    if (kind === 'E') this.error = Object.assign(new Error(body.toString()), { code: /\0C(.{5})/.exec(body)[1] })
    if (kind === 'Z') {
      const { rows, error, waiting } = this
      this.rows = []
      this.error = null
      error ? waiting.reject(error) : waiting.resolve(rows)
    }
  }

  authenticate(body) {
    if (body.readInt32BE(0) === 10) {
      this.first = `n=,r=${crypto.randomBytes(18).toString('base64')}`
      const first = Buffer.from(`n,,${this.first}`)
      this.socket.write(message('p', text('SCRAM-SHA-256'), number(first.length), first))
    }
    if (body.readInt32BE(0) === 11) {
      const said = body.subarray(4).toString()
      const [, nonce, salt, count] = /r=([^,]*),s=([^,]*),i=(\d+)/.exec(said)
      const salted = crypto.pbkdf2Sync(password, Buffer.from(salt, 'base64'), +count, 32, 'sha256')
      const key = hmac(salted, 'Client Key')
      const last = `c=biws,r=${nonce}`
      const signature = hmac(crypto.createHash('sha256').update(key).digest(), `${this.first},${said},${last}`)
      const proof = Buffer.from(key.map((byte, at) => byte ^ signature[at])).toString('base64')
      this.socket.write(message('p', Buffer.from(`${last},p=${proof}`)))
    }
  }

  row(body) {
    const values = []
    let at = 2
    for (let left = body.readInt16BE(0); left > 0; left--) {
      const length = body.readInt32BE(at)
      values.push(length < 0 ? null : body.subarray(at + 4, at + 4 + length).toString())
      at += 4 + Math.max(length, 0)
    }
    return values
  }

  query(sql, values = []) {
    const bound = values.map(String).map(value => Buffer.concat([number(Buffer.byteLength(value)), Buffer.from(value)]))
    this.socket.write(Buffer.concat([
      message('P', text('', sql), number(0, 2)),
      message('B', text('', ''), number(0, 2), number(bound.length, 2), ...bound, number(0, 2)),
      message('D', Buffer.from('P\0')), message('E', text(''), number(0)), message('S'),
    ]))
    return new Promise((resolve, reject) => { this.waiting = { resolve, reject } })
  }
}

const pool = [new Connection(), new Connection(), new Connection(), new Connection()]
await Promise.all(pool.map(one => one.ready))

const transaction = async (client, work) => {
  const connection = pool.pop()
  const query = (sql, values) => connection.query(`${sql} /*pgdst_client='${client}'*/`, values)
  try {
    await connection.query('BEGIN')
    const found = await work(query)
    await connection.query('COMMIT')
    return found
  } catch (error) {
    await connection.query('ROLLBACK')
    throw error
  } finally {
    pool.push(connection)
  }
}
const moves = {
  deposit: account => async query => {
    const [[balance]] = await query('SELECT balance FROM accounts WHERE id = $1', [account])
    await query('UPDATE accounts SET balance = $1 WHERE id = $2', [+balance + 1, account])
    return +balance + 1
  },
  transfer: (one, other) => async query => {
    await query('UPDATE accounts SET balance = balance - 1 WHERE id = $1', [one])
    await query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [other])
  },
}

http.createServer(async (request, response) => {
  const [, move, ...values] = request.url.split('/')
  try {
    response.end(move ? String(await transaction(request.headers['x-pgdst-client'], moves[move](...values))) : 'here')
  } catch (error) {
    response.statusCode = 409
    response.end(error.code)
  }
}).listen(+process.argv[2], '127.0.0.1')
