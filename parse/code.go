package parse

import "strconv"

// Code is a Parse error code. It is an error itself, to be used with errors.Is and as the code of an [Error].
type Code int

// The codes that Parse Server 9 and the SDKs know (contract parse-api.md, 1.6).
const (
	OtherCause             Code = -1
	InternalServerError    Code = 1
	ConnectionFailed       Code = 100
	ObjectNotFound         Code = 101
	InvalidQuery           Code = 102
	InvalidClassName       Code = 103
	MissingObjectID        Code = 104
	InvalidKeyName         Code = 105
	InvalidPointer         Code = 106
	InvalidJSON            Code = 107
	CommandUnavailable     Code = 108
	NotInitialized         Code = 109
	IncorrectType          Code = 111
	InvalidChannelName     Code = 112
	PushMisconfigured      Code = 115
	ObjectTooLarge         Code = 116
	OperationForbidden     Code = 119
	CacheMiss              Code = 120
	InvalidNestedKey       Code = 121
	InvalidFileName        Code = 122
	InvalidACL             Code = 123
	Timeout                Code = 124
	InvalidEmailAddress    Code = 125
	MissingContentType     Code = 126
	MissingContentLength   Code = 127
	InvalidContentLength   Code = 128
	FileTooLarge           Code = 129
	FileSaveError          Code = 130
	InstallationIDClash    Code = 132
	MissingRequiredField   Code = 135
	ImmutableField         Code = 136
	DuplicateValue         Code = 137
	InvalidRoleName        Code = 139
	ExceededQuota          Code = 140
	ScriptFailed           Code = 141
	ValidationError        Code = 142
	HookError              Code = 143
	InvalidImageData       Code = 150
	UnsavedFile            Code = 151
	InvalidPushTime        Code = 152
	FileDeleteError        Code = 153
	RequestLimitExceeded   Code = 155
	DuplicateRequest       Code = 159
	InvalidEventName       Code = 160
	FileDeleteUnnamed      Code = 161
	InvalidValue           Code = 162
	UsernameMissing        Code = 200
	PasswordMissing        Code = 201
	UsernameTaken          Code = 202
	EmailTaken             Code = 203
	EmailMissing           Code = 204
	EmailNotFound          Code = 205
	SessionMissing         Code = 206
	MustCreateUserBySignup Code = 207
	AccountAlreadyLinked   Code = 208
	InvalidSessionToken    Code = 209
	MFAError               Code = 210
	MFATokenRequired       Code = 211
	LinkedIDMissing        Code = 250
	InvalidLinkedSession   Code = 251
	UnsupportedService     Code = 252
	InvalidSchemaOperation Code = 255
	AggregateError         Code = 600
	FileReadError          Code = 601
	XDomainRequest         Code = 602
)

func (c Code) Error() string { return "parse error " + strconv.Itoa(int(c)) }
