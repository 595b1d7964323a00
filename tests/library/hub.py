"A server on this machine that speaks as much of the Hugging Face Hub's protocol as pushing and fetching need."
import base64, contextlib, hashlib, http.server, json, re, threading


class Hub(http.server.BaseHTTPRequestHandler):
    "Repositories of files in memory: name -> path -> bytes."
    repos, private, token = {}, set(), 'hf_secret'
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args): pass

    def answer(self, body=b'', status=200, **headers):
        if not isinstance(body, bytes): body, headers['Content-Type'] = json.dumps(body).encode(), 'application/json'
        self.send_response(status)
        for k, v in {'Content-Length': len(body), **headers}.items(): self.send_header(k.replace('_', '-'), str(v))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)

    def sha(self, name): # of a commit
        held = sorted((k, hashlib.sha1(v).hexdigest()) for k, v in self.repos[name].items())
        return hashlib.sha1(repr(held).encode()).hexdigest()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.headers.get('Transfer-Encoding') == 'chunked':
            body = b''
            while n := int(self.rfile.readline(), 16):
                body += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
        if self.path == '/api/validate-yaml': return self.answer(dict(errors=[], warnings=[]))
        if self.headers.get('Authorization') != f'Bearer {self.token}':
            return self.answer(dict(error='Invalid user token.'), 401, X_Error_Message='Invalid user token.')
        if self.path == '/api/repos/create':
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name in self.repos: return self.answer(dict(error='exists', url=f'/{name}'), 409)
            self.repos[name] = {}
            if asked.get('private') or asked.get('visibility') == 'private': self.private.add(name)
            return self.answer(dict(url=f'http://{self.headers["Host"]}/{name}'))
        name, what = re.match(r'/api/models/([^/]+/[^/]+)/(preupload|commit)/main', self.path).groups()
        if what == 'preupload':
            return self.answer(dict(files=[dict(path=f['path'], uploadMode='regular', shouldIgnore=False)
                                           for f in json.loads(body)['files']]))
        for value in (x['value'] for x in map(json.loads, body.splitlines()) if x['key'] == 'file'):
            self.repos[name][value['path']] = base64.b64decode(value['content'])
        self.answer(dict(commitUrl=f'http://{self.headers["Host"]}/{name}/commit/{self.sha(name)}',
                         commitOid=self.sha(name), success=True))

    def do_GET(self):
        path = self.path.split('?')[0]
        if m := re.match(r'/api/models/([^/]+/[^/]+)(/revision/.*)?$', path):
            if m[1] not in self.repos:
                return self.answer(dict(error='Repository not found'), 404, X_Error_Code='RepoNotFound',
                                   X_Error_Message='Repository not found')
            files = [dict(rfilename=f) for f in self.repos[m[1]]]
            return self.answer(dict(id=m[1], sha=self.sha(m[1]), siblings=files, private=m[1] in self.private, tags=[],
                                    downloads=0, likes=0))
        if m := re.match(r'/api/models/([^/]+/[^/]+)/tree/', path):
            return self.answer([dict(type='file', path=k, size=len(v), oid=hashlib.sha1(v).hexdigest())
                                for k, v in self.repos[m[1]].items()])
        if m := re.match(r'/([^/]+/[^/]+)/resolve/[^/]+/(.+)$', path):
            data = self.repos[m[1]][m[2]]
            return self.answer(data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=self.sha(m[1]))
        self.answer(dict(error=path), 404)

    do_HEAD = do_GET


@contextlib.contextmanager
def hub():
    "Its address, for HF_ENDPOINT; `Hub.repos` is what it holds."
    Hub.repos, Hub.private = {}, set()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
