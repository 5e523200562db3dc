package smtpauth_test

import (
	"context"
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/smtpauth"
)

// A mailer whose password is kept in a secrets store: a reference such as
// vault://secret/mail#password in place of the literal.
func Example() {
	mail, err := credential.New(credential.Config{
		Name:    "mailPassword",
		Source:  credential.Literal("password-of-the-day"),
		Present: true,
		Check:   smtpauth.Check,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := smtpauth.Presenter(mail)
	if err != nil {
		fmt.Println(err)
		return
	}
	mailer := &smtpauth.Mailer{Addr: "127.0.0.1:1", User: "parley", Login: login} // nobody listens there

	message := []byte("Subject: hello\r\n\r\nhello\r\n")
	err = mailer.Send(context.Background(), "parley@example.com", []string{"ann@example.com"}, message)
	fmt.Println(err != nil, smtpauth.Refused(err))
	// Output: true false
}
