
CREATE FUNCTION public.array_add("array" jsonb, "values" jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT array_to_json(ARRAY(SELECT unnest(ARRAY(SELECT DISTINCT jsonb_array_elements("array")) || ARRAY(SELECT jsonb_array_elements("values")))))::jsonb; $$;

CREATE FUNCTION public.array_add_unique("array" jsonb, "values" jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT array_to_json(ARRAY(SELECT DISTINCT unnest(ARRAY(SELECT DISTINCT jsonb_array_elements("array")) || ARRAY(SELECT DISTINCT jsonb_array_elements("values")))))::jsonb; $$;

CREATE FUNCTION public.array_contains("array" jsonb, "values" jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT RES.CNT >= 1 FROM (SELECT COUNT(*) as CNT FROM jsonb_array_elements("array") as elt WHERE elt IN (SELECT jsonb_array_elements("values"))) as RES; $$;

CREATE FUNCTION public.array_contains_all("array" jsonb, "values" jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT CASE WHEN 0 = jsonb_array_length("values") THEN true = false ELSE (SELECT RES.CNT = jsonb_array_length("values") FROM (SELECT COUNT(*) as CNT FROM jsonb_array_elements_text("array") as elt WHERE elt IN (SELECT jsonb_array_elements_text("values"))) as RES) END; $$;

CREATE FUNCTION public.array_contains_all_regex("array" jsonb, "values" jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT CASE WHEN 0 = jsonb_array_length("values") THEN true = false ELSE (SELECT RES.CNT = jsonb_array_length("values") FROM (SELECT COUNT(*) as CNT FROM jsonb_array_elements_text("array") as elt WHERE elt LIKE ANY (SELECT jsonb_array_elements_text("values"))) as RES) END; $$;

CREATE FUNCTION public.array_remove("array" jsonb, "values" jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT array_to_json(ARRAY(SELECT * FROM jsonb_array_elements("array") as elt WHERE elt NOT IN (SELECT * FROM (SELECT jsonb_array_elements("values")) AS sub)))::jsonb; $$;

CREATE FUNCTION public.idempotency_delete_expired_records() RETURNS void
    LANGUAGE plpgsql
    AS $$ BEGIN DELETE FROM "_Idempotency" WHERE expire < NOW() - INTERVAL '300 seconds'; END; $$;

CREATE FUNCTION public.json_object_set_key(json jsonb, key_to_set text, value_to_set anyelement) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT concat('{', string_agg(to_json("key") || ':' || "value", ','), '}')::jsonb FROM (SELECT * FROM jsonb_each("json") WHERE key <> key_to_set UNION ALL SELECT key_to_set, to_json("value_to_set")::jsonb) AS fields $$;

CREATE TABLE public."Everything" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    s text,
    n double precision,
    b boolean,
    d timestamp with time zone,
    o jsonb,
    a jsonb,
    g point,
    poly polygon,
    f text,
    y jsonb,
    p text,
    req text,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."Game" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    title text,
    "boardLongFieldNameThatStays" double precision,
    _rperm text[],
    _wperm text[],
    tags jsonb,
    score double precision,
    parent text
);

CREATE TABLE public."Place" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    _rperm text[],
    _wperm text[],
    name text,
    at point
);

CREATE TABLE public."Private" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    _rperm text[],
    _wperm text[],
    secret text
);

CREATE TABLE public."_Audience" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    name text,
    query text,
    "lastUsed" timestamp with time zone,
    "timesUsed" double precision,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_GlobalConfig" (
    "objectId" text NOT NULL,
    params jsonb,
    "masterKeyOnly" jsonb
);

CREATE TABLE public."_GraphQLConfig" (
    "objectId" text NOT NULL,
    config jsonb
);

CREATE TABLE public."_Hooks" (
    "functionName" text,
    "className" text,
    "triggerName" text,
    url text
);

CREATE TABLE public."_Idempotency" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "reqId" text,
    expire timestamp with time zone,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_Installation" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "installationId" text,
    "deviceToken" text,
    channels jsonb,
    "deviceType" text,
    "pushType" text,
    "GCMSenderId" text,
    "timeZone" text,
    "localeIdentifier" text,
    badge double precision,
    "appVersion" text,
    "appName" text,
    "appIdentifier" text,
    "parseVersion" text,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_JobSchedule" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "jobName" text,
    description text,
    params text,
    "startAfter" text,
    "daysOfWeek" jsonb,
    "timeOfDay" text,
    "lastRun" double precision,
    "repeatMinutes" double precision,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_JobStatus" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "jobName" text,
    source text,
    status text,
    message text,
    params jsonb,
    "finishedAt" timestamp with time zone,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_Join:players:Game" (
    "relatedId" character varying(120) NOT NULL,
    "owningId" character varying(120) NOT NULL
);

CREATE TABLE public."_Join:rel:Everything" (
    "relatedId" character varying(120) NOT NULL,
    "owningId" character varying(120) NOT NULL
);

CREATE TABLE public."_Join:roles:_Role" (
    "relatedId" character varying(120) NOT NULL,
    "owningId" character varying(120) NOT NULL
);

CREATE TABLE public."_Join:users:_Role" (
    "relatedId" character varying(120) NOT NULL,
    "owningId" character varying(120) NOT NULL
);

CREATE TABLE public."_PushStatus" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "pushTime" text,
    source text,
    query text,
    payload text,
    title text,
    expiry double precision,
    expiration_interval double precision,
    status text,
    "numSent" double precision,
    "numFailed" double precision,
    "pushHash" text,
    "errorMessage" jsonb,
    "sentPerType" jsonb,
    "failedPerType" jsonb,
    "sentPerUTCOffset" jsonb,
    "failedPerUTCOffset" jsonb,
    count double precision,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_Role" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    name text,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_SCHEMA" (
    "className" character varying(120) NOT NULL,
    schema jsonb,
    "isParseClass" boolean
);

CREATE TABLE public."_Session" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    "user" text,
    "installationId" text,
    "sessionToken" text,
    "expiresAt" timestamp with time zone,
    "createdWith" jsonb,
    _rperm text[],
    _wperm text[]
);

CREATE TABLE public."_User" (
    "objectId" text NOT NULL,
    "createdAt" timestamp with time zone,
    "updatedAt" timestamp with time zone,
    username text,
    email text,
    "emailVerified" boolean,
    "authData" jsonb,
    _rperm text[],
    _wperm text[],
    _hashed_password text,
    _email_verify_token_expires_at timestamp with time zone,
    _email_verify_token text,
    _account_lockout_expires_at timestamp with time zone,
    _failed_login_count double precision,
    _perishable_token text,
    _perishable_token_expires_at timestamp with time zone,
    _password_changed_at timestamp with time zone,
    _password_history jsonb,
    age double precision,
    phone text
);

INSERT INTO public."Everything" ("objectId", "createdAt", "updatedAt", s, n, b, d, o, a, g, poly, f, y, p, req, _rperm, _wperm) VALUES ('JCKJYvzsJV', '2026-11-22 09:24:25.036+00', '2026-11-22 09:24:25.036+00', 'text é 😀 "q" \', 1.5, true, '2020-02-29 12:34:56.789+00', '{"k": 1, "nested": {"x": [1, "2", null, {"iso": "2021-01-01T00:00:00.000Z", "__type": "Date"}]}}', '[3, 1, "x", null, {"__type": "Pointer", "objectId": "widIntC4gY", "className": "_User"}, [1]]', '(13.405,52.52)', '((0,0),(10,0),(10,10),(0,0))', 'abc_pic.png', '{"__type": "Bytes", "base64": "AAECAw=="}', 'widIntC4gY', 'dflt', '{widIntC4gY,role:Admins}', '{widIntC4gY}');
INSERT INTO public."Everything" ("objectId", "createdAt", "updatedAt", s, n, b, d, o, a, g, poly, f, y, p, req, _rperm, _wperm) VALUES ('6I6yrDiDWr', '2026-11-22 09:24:25.053+00', '2026-11-22 09:24:25.053+00', 'public', -3, false, NULL, NULL, NULL, NULL, '((2,1),(40,3),(6,5),(2,1))', NULL, NULL, NULL, 'dflt', NULL, NULL);
INSERT INTO public."Everything" ("objectId", "createdAt", "updatedAt", s, n, b, d, o, a, g, poly, f, y, p, req, _rperm, _wperm) VALUES ('CiAIU1TraE', '2026-11-22 09:24:25.07+00', '2026-11-22 09:24:25.07+00', NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'dflt', NULL, NULL);

INSERT INTO public."Game" ("objectId", "createdAt", "updatedAt", title, "boardLongFieldNameThatStays", _rperm, _wperm, tags, score, parent) VALUES ('W8Y2UIW2jE', '2026-11-22 09:24:25.196+00', '2026-11-22 09:24:25.196+00', 'Go', 3, NULL, NULL, '["board", "two"]', NULL, NULL);
INSERT INTO public."Game" ("objectId", "createdAt", "updatedAt", title, "boardLongFieldNameThatStays", _rperm, _wperm, tags, score, parent) VALUES ('Ok6IYNlZec', '2026-11-22 09:24:25.214+00', '2026-11-22 09:24:25.233+00', 'chess', 3, '{role:Admins}', '{role:Admins}', '["classic", "board"]', 15, 'W8Y2UIW2jE');

INSERT INTO public."Place" ("objectId", "createdAt", "updatedAt", _rperm, _wperm, name, at) VALUES ('I8f4aOOl1w', '2026-11-22 09:24:25.435+00', '2026-11-22 09:24:25.435+00', NULL, NULL, 'p1', '(2,1)');
INSERT INTO public."Place" ("objectId", "createdAt", "updatedAt", _rperm, _wperm, name, at) VALUES ('YAuhzJH4v6', '2026-11-22 09:24:25.46+00', '2026-11-22 09:24:25.46+00', NULL, NULL, 'p2', '(4,2)');
INSERT INTO public."Place" ("objectId", "createdAt", "updatedAt", _rperm, _wperm, name, at) VALUES ('ArmZF18IjQ', '2026-11-22 09:24:25.474+00', '2026-11-22 09:24:25.474+00', NULL, NULL, 'p3', '(6,3)');

INSERT INTO public."Private" ("objectId", "createdAt", "updatedAt", _rperm, _wperm, secret) VALUES ('Ayokh0DR1C', '2026-11-22 09:24:25.318+00', '2026-11-22 09:24:25.318+00', '{widIntC4gY}', '{widIntC4gY}', 'for Alice');

INSERT INTO public."_Audience" ("objectId", "createdAt", "updatedAt", name, query, "lastUsed", "timesUsed", _rperm, _wperm) VALUES ('01qUV38QCY', '2026-11-22 09:24:25.339+00', '2026-11-22 09:24:25.339+00', 'everybody', '{}', NULL, NULL, NULL, NULL);

INSERT INTO public."_GlobalConfig" ("objectId", params, "masterKeyOnly") VALUES ('1', '{"level": 3, "welcome": "hi"}', '{"level": true, "welcome": false}');

INSERT INTO public."_Hooks" ("functionName", "className", "triggerName", url) VALUES ('f1', NULL, NULL, 'http://127.0.0.1:9/x');

INSERT INTO public."_Installation" ("objectId", "createdAt", "updatedAt", "installationId", "deviceToken", channels, "deviceType", "pushType", "GCMSenderId", "timeZone", "localeIdentifier", badge, "appVersion", "appName", "appIdentifier", "parseVersion", _rperm, _wperm) VALUES ('pITe6TXvgE', '2026-11-22 09:24:25.086+00', '2026-11-22 09:24:25.086+00', 'i-1', 'tok', '["a", "b"]', 'ios', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public."_Join:players:Game" ("relatedId", "owningId") VALUES ('widIntC4gY', 'W8Y2UIW2jE');

INSERT INTO public."_Join:rel:Everything" ("relatedId", "owningId") VALUES ('widIntC4gY', 'JCKJYvzsJV');
INSERT INTO public."_Join:rel:Everything" ("relatedId", "owningId") VALUES ('E1mHxXBry8', 'JCKJYvzsJV');

INSERT INTO public."_Join:roles:_Role" ("relatedId", "owningId") VALUES ('joOnwkaOs1', 'k1AMlzhgiV');

INSERT INTO public."_Join:users:_Role" ("relatedId", "owningId") VALUES ('widIntC4gY', 'k1AMlzhgiV');
INSERT INTO public."_Join:users:_Role" ("relatedId", "owningId") VALUES ('E1mHxXBry8', 'joOnwkaOs1');

INSERT INTO public."_Role" ("objectId", "createdAt", "updatedAt", name, _rperm, _wperm) VALUES ('joOnwkaOs1', '2026-11-22 09:24:25.259+00', '2026-11-22 09:24:25.259+00', 'Super', '{*}', '{}');
INSERT INTO public."_Role" ("objectId", "createdAt", "updatedAt", name, _rperm, _wperm) VALUES ('k1AMlzhgiV', '2026-11-22 09:24:25.022+00', '2026-11-22 09:24:25.306+00', 'Admins', '{*}', '{}');

INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('_Role', '{"fields": {"name": {"type": "String"}, "roles": {"type": "Relation", "targetClass": "_Role"}, "users": {"type": "Relation", "targetClass": "_User"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}}, "className": "_Role"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('Everything', '{"fields": {"a": {"type": "Array"}, "b": {"type": "Boolean"}, "d": {"type": "Date"}, "f": {"type": "File"}, "g": {"type": "GeoPoint"}, "n": {"type": "Number"}, "o": {"type": "Object"}, "p": {"type": "Pointer", "targetClass": "_User"}, "s": {"type": "String"}, "y": {"type": "Bytes"}, "rel": {"type": "Relation", "targetClass": "_User"}, "req": {"type": "String", "required": true, "defaultValue": "dflt"}, "poly": {"type": "Polygon"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}}, "indexes": {"_id_": {"_id": 1}, "by_s": {"s": 1}, "by_sn": {"n": -1, "s": 1}}, "className": "Everything", "classLevelPermissions": {"get": {"*": true}, "find": {"*": true}, "count": {"*": true}, "create": {"*": true}, "delete": {}, "update": {"requiresAuthentication": true}, "addField": {"*": true}, "protectedFields": {"*": ["n"]}}}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('_Session', '{"fields": {"user": {"type": "Pointer", "targetClass": "_User"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "expiresAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "createdWith": {"type": "Object"}, "sessionToken": {"type": "String"}, "installationId": {"type": "String"}}, "className": "_Session"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('_Installation', '{"fields": {"badge": {"type": "Number"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "appName": {"type": "String"}, "channels": {"type": "Array"}, "objectId": {"type": "String"}, "pushType": {"type": "String"}, "timeZone": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "appVersion": {"type": "String"}, "deviceType": {"type": "String"}, "GCMSenderId": {"type": "String"}, "deviceToken": {"type": "String"}, "parseVersion": {"type": "String"}, "appIdentifier": {"type": "String"}, "installationId": {"type": "String"}, "localeIdentifier": {"type": "String"}}, "className": "_Installation"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('Place', '{"fields": {"at": {"type": "GeoPoint"}, "name": {"type": "String"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}}, "className": "Place"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('Game', '{"fields": {"tags": {"type": "Array"}, "score": {"type": "Number"}, "title": {"type": "String", "required": true}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "parent": {"type": "Pointer", "targetClass": "Game"}, "players": {"type": "Relation", "targetClass": "_User"}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "boardLongFieldNameThatStays": {"type": "Number", "defaultValue": 3}}, "indexes": {"_id_": {"_id": 1}, "by_title": {"title": 1}}, "className": "Game"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('Private', '{"fields": {"_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "secret": {"type": "String"}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}}, "className": "Private"}', true);
INSERT INTO public."_SCHEMA" ("className", schema, "isParseClass") VALUES ('_User', '{"fields": {"age": {"type": "Number"}, "email": {"type": "String"}, "phone": {"type": "String"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "authData": {"type": "Object"}, "objectId": {"type": "String"}, "username": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "emailVerified": {"type": "Boolean"}, "_hashed_password": {"type": "String"}}, "className": "_User"}', true);

INSERT INTO public."_Session" ("objectId", "createdAt", "updatedAt", "user", "installationId", "sessionToken", "expiresAt", "createdWith", _rperm, _wperm) VALUES ('kSxvyh5DUz', '2026-11-22 09:24:24.807+00', '2026-11-22 09:24:24.807+00', 'widIntC4gY', NULL, 'r:cf55ae57a42ee3f0822456b9935684a3', '2027-11-22 09:24:24.807+00', '{"action": "signup", "authProvider": "password"}', NULL, NULL);
INSERT INTO public."_Session" ("objectId", "createdAt", "updatedAt", "user", "installationId", "sessionToken", "expiresAt", "createdWith", _rperm, _wperm) VALUES ('hBnbMUzeCq', '2026-11-22 09:24:24.893+00', '2026-11-22 09:24:24.893+00', 'E1mHxXBry8', NULL, 'r:4d44c6a91658d2a875fb7bbe826e49ba', '2027-11-22 09:24:24.893+00', '{"action": "signup", "authProvider": "password"}', NULL, NULL);
INSERT INTO public."_Session" ("objectId", "createdAt", "updatedAt", "user", "installationId", "sessionToken", "expiresAt", "createdWith", _rperm, _wperm) VALUES ('5GZHmKvxuI', '2026-11-22 09:24:24.913+00', '2026-11-22 09:24:24.913+00', 'a7dz29ojz1', NULL, 'r:fa3975b93ac19860383ee6c11f28d83a', '2027-11-22 09:24:24.913+00', '{"action": "login", "authProvider": "anonymous"}', NULL, NULL);
INSERT INTO public."_Session" ("objectId", "createdAt", "updatedAt", "user", "installationId", "sessionToken", "expiresAt", "createdWith", _rperm, _wperm) VALUES ('nPvsQk9BP7', '2026-11-22 09:24:24.997+00', '2026-11-22 09:24:24.997+00', 'E1mHxXBry8', NULL, 'r:2922a90b7af2af5de74c353ee7250384', '2027-11-22 09:24:24.997+00', '{"action": "login", "authProvider": "password"}', NULL, NULL);
INSERT INTO public."_Session" ("objectId", "createdAt", "updatedAt", "user", "installationId", "sessionToken", "expiresAt", "createdWith", _rperm, _wperm) VALUES ('C3Azj6OJXF', '2026-11-22 09:24:25.422+00', '2026-11-22 09:24:25.422+00', 'uZa2SHgk8H', NULL, 'r:5a534b4168b02675d04e19a00c4d4b1d', '2027-11-22 09:24:25.421+00', '{"action": "signup", "authProvider": "password"}', NULL, NULL);

INSERT INTO public."_User" ("objectId", "createdAt", "updatedAt", username, email, "emailVerified", "authData", _rperm, _wperm, _hashed_password, _email_verify_token_expires_at, _email_verify_token, _account_lockout_expires_at, _failed_login_count, _perishable_token, _perishable_token_expires_at, _password_changed_at, _password_history, age, phone) VALUES ('widIntC4gY', '2026-11-22 09:24:24.73+00', '2026-11-22 09:24:24.73+00', 'Alice', 'Alice@example.com', NULL, NULL, '{widIntC4gY}', '{widIntC4gY}', '$2y$10$81.fijJnVX7/3X5Dl/RRAuJZXLbe0DLFkDZRdPzQCQg3xSF7QLpKy', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7, NULL);
INSERT INTO public."_User" ("objectId", "createdAt", "updatedAt", username, email, "emailVerified", "authData", _rperm, _wperm, _hashed_password, _email_verify_token_expires_at, _email_verify_token, _account_lockout_expires_at, _failed_login_count, _perishable_token, _perishable_token_expires_at, _password_changed_at, _password_history, age, phone) VALUES ('E1mHxXBry8', '2026-11-22 09:24:24.827+00', '2026-11-22 09:24:24.827+00', 'bob', NULL, NULL, NULL, '{*,E1mHxXBry8}', '{E1mHxXBry8}', '$2y$10$K1R0B4d9uoWoOZEcbhkZ.usbMNeEHGr1xHPYE74tfQLgYNlR7VSCO', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public."_User" ("objectId", "createdAt", "updatedAt", username, email, "emailVerified", "authData", _rperm, _wperm, _hashed_password, _email_verify_token_expires_at, _email_verify_token, _account_lockout_expires_at, _failed_login_count, _perishable_token, _perishable_token_expires_at, _password_changed_at, _password_history, age, phone) VALUES ('a7dz29ojz1', '2026-11-22 09:24:24.908+00', '2026-11-22 09:24:24.908+00', 'CEGrDFzseBbmSycELsFVsLMfK', NULL, NULL, '{"anonymous": {"id": "anon-1"}}', '{a7dz29ojz1}', '{a7dz29ojz1}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public."_User" ("objectId", "createdAt", "updatedAt", username, email, "emailVerified", "authData", _rperm, _wperm, _hashed_password, _email_verify_token_expires_at, _email_verify_token, _account_lockout_expires_at, _failed_login_count, _perishable_token, _perishable_token_expires_at, _password_changed_at, _password_history, age, phone) VALUES ('uZa2SHgk8H', '2026-11-22 09:24:25.353+00', '2026-11-22 09:24:25.353+00', 'Émile', NULL, NULL, NULL, '{uZa2SHgk8H}', '{uZa2SHgk8H}', '$2y$10$tWRkcIME827qRl2laeBzyuyxpQ7lTur/5QcgFW/nIXPPNSqwK0Al6', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '1');

ALTER TABLE ONLY public."Everything"
    ADD CONSTRAINT "Everything_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."Game"
    ADD CONSTRAINT "Game_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."Place"
    ADD CONSTRAINT "Place_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."Private"
    ADD CONSTRAINT "Private_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_Audience"
    ADD CONSTRAINT "_Audience_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_GlobalConfig"
    ADD CONSTRAINT "_GlobalConfig_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_GraphQLConfig"
    ADD CONSTRAINT "_GraphQLConfig_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_Idempotency"
    ADD CONSTRAINT "_Idempotency_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_Installation"
    ADD CONSTRAINT "_Installation_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_JobSchedule"
    ADD CONSTRAINT "_JobSchedule_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_JobStatus"
    ADD CONSTRAINT "_JobStatus_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_Join:players:Game"
    ADD CONSTRAINT "_Join:players:Game_pkey" PRIMARY KEY ("relatedId", "owningId");

ALTER TABLE ONLY public."_Join:rel:Everything"
    ADD CONSTRAINT "_Join:rel:Everything_pkey" PRIMARY KEY ("relatedId", "owningId");

ALTER TABLE ONLY public."_Join:roles:_Role"
    ADD CONSTRAINT "_Join:roles:_Role_pkey" PRIMARY KEY ("relatedId", "owningId");

ALTER TABLE ONLY public."_Join:users:_Role"
    ADD CONSTRAINT "_Join:users:_Role_pkey" PRIMARY KEY ("relatedId", "owningId");

ALTER TABLE ONLY public."_PushStatus"
    ADD CONSTRAINT "_PushStatus_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_Role"
    ADD CONSTRAINT "_Role_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_SCHEMA"
    ADD CONSTRAINT "_SCHEMA_pkey" PRIMARY KEY ("className");

ALTER TABLE ONLY public."_Session"
    ADD CONSTRAINT "_Session_pkey" PRIMARY KEY ("objectId");

ALTER TABLE ONLY public."_User"
    ADD CONSTRAINT "_User_pkey" PRIMARY KEY ("objectId");

CREATE UNIQUE INDEX "_Idempotency_unique_reqId" ON public."_Idempotency" USING btree ("reqId");

CREATE UNIQUE INDEX "_Role_unique_name" ON public."_Role" USING btree (name);

CREATE UNIQUE INDEX "_User_unique_authData_anonymous_id" ON public."_User" USING btree (((("authData" -> 'anonymous'::text) ->> 'id'::text))) WHERE ((("authData" -> 'anonymous'::text) ->> 'id'::text) IS NOT NULL);

CREATE UNIQUE INDEX "_User_unique_email" ON public."_User" USING btree (email);

CREATE UNIQUE INDEX "_User_unique_username" ON public."_User" USING btree (username);

CREATE INDEX _email_verify_token ON public."_User" USING btree (_email_verify_token);

CREATE INDEX _perishable_token ON public."_User" USING btree (_perishable_token);

CREATE INDEX by_s ON public."Everything" USING btree (s);

CREATE INDEX by_sn ON public."Everything" USING btree (s, n);

CREATE INDEX by_title ON public."Game" USING btree (title);

CREATE INDEX case_insensitive_email ON public."_User" USING btree (lower(email) varchar_pattern_ops);

CREATE INDEX case_insensitive_username ON public."_User" USING btree (lower(username) varchar_pattern_ops);

CREATE INDEX ttl ON public."_Idempotency" USING btree (expire);

