"""What tells languages of one script apart: their most common words, letters of their own, endings."""

from __future__ import annotations

WORDS = {
    "en": """the of and to in is you that it he was for on are as with his they at be this have from or had by but
not what all were we when your can said there an each which she do how their if will up other about out
many then them these so some her would make like him into has more no could my than been its now did get
may who i me a i'm don't it's why does card account need want please help still just am should where any
only also because our us after while very""",
    "de": """der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus
er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber
vor zur bis mehr durch man sein wurde sei ich mir mich meine mein wir ihr ihre kann können warum wenn
was wo bitte habe keine kein meiner meinen diese dieser dieses schon sehr muss gibt unter wieder jetzt
hier vom beim sollte möchte ihnen ihren""",
    "fr": """de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec
son elle vous nous je mon ma mes votre notre cette comme mais ou où été être avoir fait peut aux leur
ont même si tout tous bien sans deux aussi entre après dont c'est j'ai pourquoi comment quand quel
quelle ai suis puis veux mon l d qu n s on avant encore toujours très y ces sa ses leurs cela faire moi
étaient était""",
    "es": """de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si
sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi
porque qué sólo han yo hay vez puede todos así nos ni parte tiene él uno donde bien tiempo mismo ese
ahora cada e vida otro después te otros aunque esa eso hace otra gobierno tan durante siempre día tanto
ella tres sí dijo sido gran cómo puedo mis tengo usted estoy quiero necesito cuenta tarjeta dónde""",
    "it": """di e il la che in a per un è del non una i le si da con della al sono come lo alla più ma nel dei ha gli
anche su o dal ci delle mi io se dalla questo questa nella era suo sua stato quando così dopo perché
cosa essere ho molto tutti tutto due prima mio mia miei hanno quello chi dove fare solo ancora fatto fra
tra ai dell l'ho c'è degli sul sulla nelle loro ogni già posso vorrei devo puoi qual quale quali tuo
nostra suoi senza""",
    "pt": """de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à
seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem
mesmo aos ter seus quem nas me esse eles estão você tinha foram essa num nem suas meu às minha têm numa
pelos elas havia seja qual será nós tenho lhe deles essas esses pelas este dele posso fazer minhas meus
preciso quero onde porque conta cartão""",
    "nl": """de van een het en in is dat op te zijn met voor niet aan er om ook als dan maar door over bij uit naar
wordt hij nog worden werd tot deze heeft die geen kan ze wel of zo zou hebben meer was had je ik mijn
wat hoe waarom waar we wij hun haar al moet onder veel tegen na dit men ons mij kunnen jaar twee heb
bent ben u uw hem zal moeten alleen weer toch omdat wil graag mijn kaart""",
    "sv": """och i att det som en på är av för med den till inte om ett han de har jag var men så från vi kan när man
hade ska nu sin över eller efter också där vid mot under honom upp mer blir alla än skulle mycket hur
vara vill varför vad min mitt mina du ni er vår hon dem detta denna dessa bara bli kommer utan någon
något några sedan finns får måste""",
    "da": """og i at det som en på er af for med den til ikke om et han de har jeg var men så fra vi kan når man
havde skal nu sin over eller efter også der ved mod under ham op mere bliver alle end ville meget
hvordan være vil hvorfor hvad min mit mine du os hun dem dette denne disse kun blive kommer uden nogle
noget siden findes får må blev efter deres hvor lige gør selv""",
    "no": """og i at det som en på er av for med den til ikke om et han de har jeg var men så fra vi kan når man
hadde skal nå sin over eller etter også der ved mot under ham opp mer blir alle enn ville mye hvordan
være vil hvorfor hva min mitt mine du oss hun dem dette denne disse bare bli kommer uten noen noe siden
finnes får må ble etter deres hvor gjør selv deg meg""",
    "fi": """ja on ei että se oli hän mutta ovat joka kun niin myös kuin sen tai vain ole jos jo nyt mitä minun miksi
miten voi voin minä sinä me te he tämä tämän siitä ollut olen olla sekä mukaan jälkeen kanssa vielä koko
noin kaikki hänen hyvin sitä joita mikä missä olisi pitää sekä vuoden ennen nämä ne""",
    "pl": """w i z na do się nie to że jest o od jak po a ale za przez dla są co przy jego tak tym może oraz być
tylko czy który która które już było był ich jej jako lub więc mam moja mój moje jestem gdzie dlaczego
kiedy bardzo mnie mi nas pod nad tego też ze przed można bez jeszcze po sobie aby gdy proszę chcę mogę
karta""",
    "cs": """a v se na je že o s z do i k to ve pro za by ale si po jsem jako od už jak jen které který která také
při však podle byl byla bylo jsou není aby nebo jeho její tak může až když proč kde můj moje mě mi nás
co kdy před bez být této tento toto své má mají pokud mezi ještě mohu chci prosím""",
    "tr": """ve bir bu da de için ile çok daha ne o gibi kadar sonra olarak var olan ama en ben sen biz mi mı mu mü
değil her ya ki bana benim neden nasıl nerede ancak olduğu olduğunu ise hem göre tüm kendi yeni şey şu
iki onun bunu diye nedir lütfen kartım hesabım istiyorum zaman önce yok""",
    "ro": """de și în a la cu pe nu o din un pentru că este care mai ce se sau ca fi al ale au dar după prin fost
sunt această acest sa său lui ei foarte cum când unde meu mea mele am ai eu îmi vă dacă fără până fiind
doar toate tot cele cel cea într într-o asupra acum pot vreau""",
    "hu": """a az és hogy nem is egy ez meg van csak de volt mint már el még azt ha lehet én ki kell vagy mi minden
most nagyon be ezt lesz itt mert után miért hogyan hol mikor nekem a az egyik két azonban olyan szerint
között amely által pedig sem így vannak kérem szeretnék kártyám""",
    "id": """yang dan di ini itu dengan untuk tidak dari dalam akan pada juga saya ke karena tersebut bisa ada mereka
lebih kata tahun sudah atau saat oleh menjadi orang ia telah adalah seperti sebagai bahwa dapat para
harus namun kita dua satu masih hari hanya mengatakan kepada kami setelah melakukan lalu belum lain dia
kalau apa bagaimana mengapa kartu anda saja""",
    "vi": """và của là có trong được cho không một những các đã với người này để khi đến về như tôi ra từ vào cũng
nhiều ở bị sẽ làm nhưng đó rất phải lại sau năm còn hơn trên thì nếu tại theo mà vì sao nào gì thế bạn
anh chị tôi""",
    "ru": """и в не на что я с он как это по но они к у из за то все так его от для о же вы бы мы был она если или да
ни быть когда только мне уже нет где мой моя мои почему вас нас до было были этот эта эти их ее её при
чтобы также который которые после может более можно очень есть меня себя""",
    "uk": """і в не на що я з він як це по але вони до у із за то всі так його від для про ж ви би ми був вона якщо
або та ні бути коли тільки мені вже немає де мій моя мої чому вас нас було були цей ця ці їх її при щоб
також який які після може більше можна дуже є мене себе""",
    "bg": """и в не на че аз с той как това по но те към у от за то всички така го до или да ни бъде когато само ми
вече няма къде моят моята моите защо ви нас беше са този тази тези им при също който които след може
повече много има мен себе ще съм си се е""",
    "sr": """и у не на да се је за од са то као али они из до или ни бити када само ми већ нема где мој моја моји
зашто вас нас био била било су овај ова ови их при такође који које после може више много има мене себе
ће сам си""",
    "ar": """في من على إلى أن هذا هذه التي الذي كان عن مع ما لا كما هو هي قد بعد كل ذلك أو بين ثم لم لن إن قبل حتى
عند كانت يكون غير أي حيث خلال لكن منذ أنا هل كيف لماذا متى أين""",
    "fa": """در از به که این را با است برای آن یک خود تا کرد بر هم نیز شده شد بود دارد می ها های اما یا باید هر آنها
او من ما شما چه چرا کجا چگونه است. ولی پس""",
    "ur": """کے میں کی ہے اور سے کا کو نے اس کہ پر ہیں ایک نہیں یہ کر بھی تھا ہو تو جو ان گیا کیا تھے وہ تک ہوئے لیے
اپنے میرا میری آپ کیوں کیسے""",
}
"""The most common words of each language, in its own letters and in lower case."""

LETTERS = {
    "de": "ßäöü", "fr": "çêèùœ", "es": "ñ¿¡", "it": "òì", "pt": "ãõ", "sv": "å", "da": "æø", "no": "æø", "fi": "ä",
    "pl": "łąęśżźćń", "cs": "řěůčšž", "tr": "ğışç", "ro": "ășțţş", "hu": "őű", "vi": "đơưạảấầậắặẹẻếềệỉịọỏốồộớờợụủứừựỳỵ",
    "ru": "ыэё", "uk": "іїєґ", "sr": "ђјљњћџ", "fa": "پچژگ", "ur": "ٹڈڑںےہ", "ar": "ةىإأ",
}  # fmt: skip
"""Letters that a language has and most others of its script have not."""

ENDINGS = {
    "en": ("ing", "tion", "ed", "ly"), "de": ("ung", "lich", "keit", "en"), "fr": ("ment", "eux", "aux", "tion"),
    "es": ("ción", "mente", "ando", "iendo", "dad"), "it": ("zione", "mente", "ando", "endo", "tà"),
    "pt": ("ção", "mente", "ções", "dade"), "nl": ("ing", "lijk", "heid", "en"), "sv": ("ning", "arna", "erna"),
    "da": ("ning", "erne", "ede"), "no": ("ning", "ene", "et"), "fi": ("ssa", "ssä", "sta", "nen", "lla", "uksen"),
    "pl": ("owa", "nie", "ego", "ych", "ość"), "cs": ("ní", "ého", "ých", "ost"), "tr": ("lar", "ler", "dır", "iyor"),
    "ro": ("ului", "ilor", "ție", "are"), "hu": ("ság", "ban", "ben", "nak", "nek"), "id": ("kan", "nya", "lah"),
}  # fmt: skip
"""Endings of longer words that are common in a language."""
