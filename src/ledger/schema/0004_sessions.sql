-- A session is looked through whenever it is about to be sent, which is to cost what is in it and not what there is.
CREATE INDEX response_by_session ON response (session);
